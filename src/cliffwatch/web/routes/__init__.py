"""The pages' addresses: one router per group of pages. Each handler asks services, makes a view, renders a template."""
