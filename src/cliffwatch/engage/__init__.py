"""Engage: audiences and computed traits over the people whose events the archive holds, sent on as identify events."""
