"""The data map: what is stored about whom, why, for how long, and how to be rid of it (GDPR, article 30). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """One kind of data. `tables` are those of the metadata database that hold it."""

    what: str
    whose: str
    why: str
    how_long: str
    rid_of: str
    tables: tuple[str, ...] = ()


VISITORS = "People whose events your sources send"
MEMBERS = "People who sign in here"
NOBODY = "Nobody’s: counts and settings"

DATA_MAP = (
    Held(
        "Whole events (archive), with ids, traits and properties as your rules leave them",
        VISITORS,
        "Back-fill of data streams, the live view, the tester",
        "Each source’s own retention, see below",
        "Delete the person; shorten the retention; drop or hash properties",
    ),
    Held(
        "Facts: a keyed hash of who did it, and the values of the dimensions and numbers that a data stream names",
        VISITORS,
        "Measures such as unique users, and root causes",
        "As long as the data stream",
        "Delete the person or the data stream",
    ),
    Held(
        "Points, expectations, slices and incidents",
        "Nobody’s, unless a dimension names people",
        "Charts and alerts",
        "Until the data stream or the workspace is deleted",
        "Delete the data stream",
        (
            "streams",
            "runs",
            "detector_states",
            "revised_points",
            "sensitivities",
            "labels",
            "undone_marks",
            "annotations",
            "anomalies",
            "incidents",
            "monitors",
            "goals",
            "maintenance_windows",
        ),
    ),
    Held(
        "Event catalogue: names, paths, types and a few example values",
        VISITORS,
        "To choose events and properties by name",
        "Until the source is deleted",
        "Delete the person (their examples go); drop or hash properties",
        ("catalogue_events", "catalogue_properties"),
    ),
    Held(
        "Quarantine: messages that were rejected, as they came",
        VISITORS,
        "To see why, and to send them again",
        "The last ones of each source",
        "Delete the person",
        ("quarantine",),
    ),
    Held(
        "Requests to delete people, and keyed hashes of whom they named",
        VISITORS,
        "Proof, and to turn away what arrives late",
        "Identifiers until the deletion is done; hashes as long as asked",
        "They are the deletion",
        ("deletion_requests", "suppressions", "property_rules", "hash_keys"),
    ),
    Held(
        "Audiences and computed traits: who is in them, and what was computed of each person",
        VISITORS,
        "To sync audiences and traits to data streams and destinations",
        "As long as the audience or trait",
        "Delete the audience or trait; delete the person",
        (
            "engage_spaces",
            "engage_trails",
            "computations",
            "computation_blocks",
            "computation_changes",
            "computation_passes",
            "computation_syncs",
            "computation_sync_runs",
        ),
    ),
    Held(
        "Account: e-mail, name, password hash, second factor (sealed), name at the provider",
        MEMBERS,
        "To sign in",
        "Until they are removed from their last workspace by an administrator",
        "Members, Remove",
        ("people", "memberships", "recovery_codes", "invitations"),
    ),
    Held(
        "Sessions: address, browser, times",
        MEMBERS,
        "To stay signed in, and to see where",
        "14 days after the last use, 60 at most",
        "Sign out there",
        ("sessions",),
    ),
    Held(
        "Counts of failed sign-ins and requests, under hashes of e-mail, token and address; open live views",
        MEMBERS,
        "To slow down who guesses, and to send live events where they are looked at",
        "Until the count has run out",
        "They go by themselves",
        ("sign_in_failures", "rate_buckets", "live_watches"),
    ),
    Held(
        "Events on their way to a live view in another process",
        VISITORS,
        "The live view",
        "While somebody looks at them",
        "They go by themselves",
        ("live_events",),
    ),
    Held(
        "API tokens (hashes), last use and its address",
        MEMBERS,
        "Programs that act for them",
        "Until the workspace is deleted",
        "Revoke",
        ("api_tokens",),
    ),
    Held(
        "Audit log: who did what, from which address",
        MEMBERS,
        "To find out what happened",
        "For ever: the database refuses to change it",
        "With the database alone",
        ("audit_log",),
    ),
    Held(
        "What was said and done in incidents, who was told and when, on-call rotations",
        MEMBERS,
        "The story of an incident, and to reach people",
        "As long as the incident or the rotation",
        "Delete the rotation; the data stream for its incidents",
        (
            "incident_timeline",
            "incident_moves",
            "incident_shares",
            "incident_triage",
            "saved_filters",
            "digests",
            "digest_opt_outs",
            "digest_unsubscribed",
            "noise_fixes",
            "deliveries",
            "delivery_attempts",
            "escalations",
            "used_links",
            "channels",
            "escalation_policies",
            "rotations",
        ),
    ),
    Held(
        "Connections, destinations, apps: names, addresses, tokens (sealed or hashed), who allowed them",
        MEMBERS,
        "To receive and deliver events",
        "Until disconnected",
        "Disconnect, delete",
        (
            "connections",
            "authorisations",
            "destinations",
            "delivery_positions",
            "imports",
            "oauth_apps",
            "oauth_installs",
            "oauth_codes",
            "oauth_tokens",
            "oauth_keys",
            "oauth_assertions",
            "delivery_addresses",
            "write_keys",
        ),
    ),
    Held(
        "Counts per minute or hour, jobs, settings of workspaces and sources",
        NOBODY,
        "Delivery overview, schedules",
        "Counts a month or as long as the source; the rest until deleted",
        "Delete the source or the workspace",
        (
            "workspaces",
            "beats",
            "outages",
            "sources",
            "settings",
            "jobs",
            "arrivals",
            "lateness",
            "minute_volumes",
            "sender_counts",
            "verdict_counts",
            "volumes",
            "delivery_counts",
        ),
    ),
)
