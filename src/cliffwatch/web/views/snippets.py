"""What to paste where so that events arrive here, filled with a source's write key and this server's address. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from cliffwatch.ingest import MadeKey


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to send; `install` is what to run first, "" when nothing."""

    key: str
    label: str
    install: str
    code: str
    note: str


_LOADER = (
    '!function(){var i="analytics",analytics=window[i]=window[i]||[];if(!analytics.initialize)if(analytics.invoked)'
    'window.console&&console.error&&console.error("Segment snippet included twice.");else{analytics.invoked=!0;'
    'analytics.methods=["trackSubmit","trackClick","trackLink","trackForm","pageview","identify","reset","group","track",'
    '"ready","alias","debug","page","screen","once","off","on","addSourceMiddleware","addIntegrationMiddleware",'
    '"setAnonymousId","addDestinationMiddleware","register"];analytics.factory=function(e){return function(){'
    "if(window[i].initialized)return window[i][e].apply(window[i],arguments);"
    "var n=Array.prototype.slice.call(arguments);"
    'if(["track","screen","alias","group","page","identify"].indexOf(e)>-1){var c=document.querySelector('
    '"link[rel=\'canonical\']");n.push({__t:"bpc",c:c&&c.getAttribute("href")||void 0,p:location.pathname,'
    "u:location.href,s:location.search,t:document.title,r:document.referrer})}n.unshift(e);analytics.push(n);return "
    "analytics}};for(var n=0;n<analytics.methods.length;n++){var key=analytics.methods[n];analytics[key]="
    'analytics.factory(key)}analytics.load=function(key,n){var t=document.createElement("script");'
    't.type="text/javascript";t.async=!0;t.setAttribute("data-global-segment-analytics-key",i);'
    't.src=analytics._cdn+"/analytics.js/v1/"+key+"/analytics.min.js";'
    'var r=document.getElementsByTagName("script")[0];r.parentNode.insertBefore(t,r);analytics._loadOptions=n};'
)


def oauth_snippets(write_key: str, address: str, made: MadeKey) -> tuple[Snippet, ...]:
    """How the SDKs that know OAuth use a key that was made; its private half is in a file."""
    client, kid = made.key.client_id, made.key.key_id
    python = f"""from segment.analytics.client import Client

client = Client(
    "{write_key}",
    host="{address}",
    oauth_client_id="{client}",
    oauth_client_key=open("private-key.pem").read(),
    oauth_key_id="{kid}",
    oauth_auth_server="{address}",
)"""
    node = f"""import {{ Analytics }} from "@segment/analytics-node";
import {{ readFileSync }} from "node:fs";

const analytics = new Analytics({{
  writeKey: "{write_key}",
  host: "{address}",
  oauthSettings: {{
    clientId: "{client}",
    clientKey: readFileSync("private-key.pem", "utf8"),
    keyId: "{kid}",
    authServer: "{address}",
  }},
}});"""
    return (Snippet("python", "Python", "", python, ""), Snippet("node", "Node", "", node, ""))


def snippets(write_key: str, address: str) -> tuple[Snippet, ...]:
    """The ways to send, for a server at `address` (scheme and host, no slash at the end)."""
    key, url = json.dumps(write_key), json.dumps(address)
    parts = urlsplit(address)
    api_host = json.dumps(f"{parts.netloc}{parts.path}/v1")
    example = '{ revenue: 49.0, currency: "EUR", country: "DE" }'
    return (
        Snippet(
            "browser",
            "Website",
            "",
            f"<script>\n  {_LOADER}\n  analytics._writeKey={key};\n  analytics._cdn={url};\n  analytics.load({key});\n"
            "  analytics.page();\n  }}();\n</script>",
            "Paste it into the <head> of every page. The script itself is served from here, too.",
        ),
        Snippet(
            "npm",
            "Web app (npm)",
            "npm install @segment/analytics-next",
            'import { AnalyticsBrowser } from "@segment/analytics-next";\n\n'
            f"export const analytics = AnalyticsBrowser.load(\n  {{ writeKey: {key}, cdnURL: {url} }},\n"
            f'  {{ integrations: {{ "Segment.io": {{ apiHost: {api_host}, protocol: "{parts.scheme}" }} }} }},\n);\n\n'
            f'analytics.track("Order Completed", {example});',
            "For React, Vue, Svelte and other bundled apps.",
        ),
        Snippet(
            "node",
            "Node.js",
            "npm install @segment/analytics-node",
            'import { Analytics } from "@segment/analytics-node";\n\n'
            f"const analytics = new Analytics({{ writeKey: {key}, host: {url} }});\n\n"
            f'analytics.track({{\n  userId: "user-1",\n  event: "Order Completed",\n  properties: {example},\n}});\n\n'
            "await analytics.closeAndFlush();",
            "",
        ),
        Snippet(
            "python",
            "Python",
            "pip install segment-analytics-python",
            "from segment.analytics.client import Client\n\n"
            f"analytics = Client({key}, host={url})\n"
            'analytics.track("user-1", "Order Completed", {"revenue": 49.0, "currency": "EUR", "country": "DE"})\n'
            "analytics.shutdown()",
            "",
        ),
        Snippet(
            "curl",
            "HTTP",
            "",
            f"curl {address}/v1/track \\\n  -u {write_key}: \\\n  -H 'Content-Type: application/json' \\\n"
            """  -d '{"userId": "user-1", "event": "Order Completed", "properties": {"revenue": 49.0}}'""",
            "Any other Segment SDK works as well: give it this address as its host.",
        ),
    )


def connect_snippets(write_key: str, address: str, first: str) -> tuple[Snippet, ...]:
    """What an integration of the library shows: `first` is the key of its own snippet."""
    known = {snippet.key: snippet for snippet in (*snippets(write_key, address), *_others(write_key, address))}
    shown = {
        "rudder": ("rudder", "curl"),
        "jitsu": ("jitsu-sdk", "jitsu", "curl"),
        "curl": ("curl", "batch", "python"),
    }.get(first, ("browser", "npm", "node", "python", "curl"))
    return tuple(known[key] for key in shown)


def _others(write_key: str, address: str) -> tuple[Snippet, ...]:
    key, url = json.dumps(write_key), json.dumps(address)
    example = '{ revenue: 49.0, currency: "EUR", country: "DE" }'
    return (
        Snippet(
            "rudder",
            "Node.js",
            "npm install @rudderstack/rudder-sdk-node",
            'const RudderAnalytics = require("@rudderstack/rudder-sdk-node");\n\n'
            f"const client = new RudderAnalytics({key}, {{ dataPlaneUrl: {url} }});\n\n"
            f'client.track({{\n  userId: "user-1",\n  event: "Order Completed",\n  properties: {example},\n}});\n\n'
            "client.flush();",
            "All other settings may stay as they are. RudderStack itself can deliver here, too: add a Webhook "
            "destination with this server’s address and /v1/batch.",
        ),
        Snippet(
            "jitsu-sdk",
            "SDK",
            "npm install @jitsu/js",
            'import { jitsuAnalytics } from "@jitsu/js";\n\n'
            f"const analytics = jitsuAnalytics({{ host: {url}, writeKey: {json.dumps(write_key + ':jitsu')} }});\n\n"
            f'await analytics.track("Order Completed", {example});',
            "In the browser and in Node.js. The SDK wants a colon in its key; what stands behind it is not looked at.",
        ),
        Snippet(
            "jitsu",
            "HTTP destination",
            "",
            f"URL      {address}/v1/batch\nMethod   POST\nHeader   Authorization: Basic {_basic(write_key)}\n"
            "Body     the event, as Jitsu sends it",
            "In Jitsu: Destinations, HTTP endpoint. Every event goes there in Segment’s format.",
        ),
        Snippet(
            "batch",
            "HTTP, many at once",
            "",
            f"curl {address}/v1/batch \\\n  -u {write_key}: \\\n  -H 'Content-Type: application/json' \\\n"
            """  -d '{"batch": [\n    {"type": "track", "userId": "user-1", "event": "Order Completed",\n"""
            """     "timestamp": "2026-11-01T09:30:00Z", "messageId": "order-1001"},\n"""
            """    {"type": "page", "anonymousId": "visitor-7", "name": "Pricing"}\n  ]}'""",
            "Up to 500 KB and 2,500 messages. A messageId that was seen before counts once.",
        ),
    )


def _basic(write_key: str) -> str:
    return base64.b64encode(f"{write_key}:".encode()).decode()
