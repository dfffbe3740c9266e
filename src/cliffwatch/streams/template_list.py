"""The templates: Segment's specs for e-commerce, B2B SaaS, video, mobile, e-mail and live chat, as data.

`events` maps a role to the names that may play it, in Segment's spelling; a measure is counted `of` a role (the first
one when it is not said).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cliffwatch.spec.model import SpecType
from cliffwatch.streams.model import Aggregation

MONEY = ("properties.revenue", "properties.total", "properties.value", "properties.subtotal", "properties.price")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A measure of a template. `paths` are where its number may be; `over` is the role below a ratio's line."""

    label: str
    how: Aggregation = Aggregation.COUNT
    of: str = ""
    paths: tuple[str, ...] = ()
    over: str = ""

    @property
    def is_ratio(self) -> bool:
        return bool(self.over)


@dataclass(frozen=True, slots=True)
class Template:
    key: str
    kind: str
    name: str
    why: str
    measures: tuple[Wanted, ...]
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spec_type: SpecType = SpecType.TRACK
    frequency_minutes: int = 60


def _users(label: str) -> Wanted:
    return Wanted(label, Aggregation.USERS)


def _money(label: str, how: Aggregation = Aggregation.SUM) -> Wanted:
    return Wanted(label, how, paths=MONEY)


def _funnel(key: str, kind: str, name: str, why: str, top: tuple[str, ...], bottom: tuple[str, ...]) -> Template:
    """The share of one event in another, with both counts beside it."""
    return Template(
        key,
        kind,
        name,
        why,
        (
            Wanted(name, of="top", over="bottom"),
            Wanted(top[0], of="top"),
            Wanted(bottom[0], of="bottom"),
        ),
        {"bottom": bottom, "top": top},
    )


def _simple(key: str, kind: str, name: str, why: str, *events: str) -> Template:
    """How often something happens, and to how many people."""
    return Template(key, kind, name, why, (Wanted(name), _users("People")), {"it": events})


TEMPLATES: tuple[Template, ...] = (
    # a shop (e-commerce spec, version 2)
    Template(
        "revenue",
        "Shop",
        "Revenue and orders",
        "Hears of lost orders and lost money within the hour.",
        (_money("Revenue"), Wanted("Orders"), _money("Average order", Aggregation.AVERAGE)),
        {"it": ("Order Completed", "Completed Order", "Purchase", "Order Placed")},
    ),
    _funnel(
        "checkout",
        "Shop",
        "Checkout conversion",
        "Tells a broken checkout from a quiet day.",
        ("Order Completed", "Completed Order", "Purchase", "Order Placed"),
        ("Checkout Started", "Started Checkout", "Checkout Begun"),
    ),
    _simple(
        "failed-checkouts",
        "Shop",
        "Failed checkouts",
        "Payment errors show here before revenue falls.",
        "Checkout Failed",
        "Payment Failed",
        "Order Failed",
    ),
    _funnel(
        "cart",
        "Shop",
        "Carts per product view",
        "Prices, stock and the add button, seen as one number.",
        ("Product Added", "Added to Cart"),
        ("Product Viewed", "Viewed Product"),
    ),
    Template(
        "refunds",
        "Shop",
        "Refunds",
        "A bad batch comes back as refunds.",
        (Wanted("Refunds"), _money("Refunded")),
        {"it": ("Order Refunded", "Order Cancelled")},
    ),
    _simple(
        "searches", "Shop", "Product searches", "A search that fails is a shop that is closed.", "Products Searched"
    ),
    _simple("coupons", "Shop", "Coupons denied", "A campaign whose code does not work.", "Coupon Denied"),
    # software as a service (B2B SaaS spec)
    _simple(
        "sign-ups",
        "SaaS",
        "Sign-ups",
        "New accounts by plan and country.",
        "Signed Up",
        "Account Created",
        "User Signed Up",
        "Sign Up",
        "Registered",
    ),
    _simple("sign-ins", "SaaS", "Sign-ins", "Nobody can work who cannot sign in.", "Signed In", "Login", "Logged In"),
    _simple("trials", "SaaS", "Trials started", "The first step towards paying.", "Trial Started"),
    _funnel(
        "trial-ends",
        "SaaS",
        "Trials per sign-up",
        "How many of those who join try the product.",
        ("Trial Started",),
        ("Signed Up", "Account Created"),
    ),
    _simple("invites", "SaaS", "Invites", "Teams grow by inviting.", "Invite Sent"),
    _simple(
        "churn", "SaaS", "Accounts lost", "More accounts leave than usual.", "Account Deleted", "Subscription Cancelled"
    ),
    # media (video spec)
    _simple(
        "video-starts",
        "Media",
        "Video starts",
        "A player or a title that does not start.",
        "Video Playback Started",
        "Video Content Started",
    ),
    _funnel(
        "video-completion",
        "Media",
        "Video completion",
        "Viewers who stay to the end.",
        ("Video Playback Completed", "Video Content Completed"),
        ("Video Playback Started", "Video Content Started"),
    ),
    _funnel(
        "video-interruptions",
        "Media",
        "Interruptions per start",
        "Buffering and errors, per version and country.",
        ("Video Playback Interrupted", "Video Playback Buffer Started"),
        ("Video Playback Started",),
    ),
    _simple("ads", "Media", "Ad starts", "Ads that do not start earn nothing.", "Video Ad Started", "Ad Started"),
    # mobile (mobile lifecycle spec)
    _funnel(
        "crashes",
        "Mobile",
        "Crash rate",
        "Crashes per opened app: a release that goes wrong.",
        ("Application Crashed",),
        ("Application Opened",),
    ),
    _simple("app-opens", "Mobile", "App opens", "People who use the app.", "Application Opened"),
    _simple("installs", "Mobile", "Installs", "New devices, by campaign and country.", "Application Installed"),
    _funnel(
        "push",
        "Mobile",
        "Push open rate",
        "Messages that nobody opens any more.",
        ("Push Notification Tapped",),
        ("Push Notification Received",),
    ),
    # messages to people
    _funnel(
        "email-opens",
        "Messages",
        "E-mail open rate",
        "Mail that lands among spam.",
        ("Email Opened",),
        ("Email Delivered",),
    ),
    _funnel(
        "email-bounces",
        "Messages",
        "E-mail bounce rate",
        "A list, or a sender's name, gone bad.",
        ("Email Bounced",),
        ("Email Delivered",),
    ),
    _simple("chats", "Messages", "Support chats", "People who need help now.", "Live Chat Conversation Started"),
    # every site and app
    Template(
        "page-views",
        "Website",
        "Page views and visitors",
        "Traffic by country, device and campaign.",
        (Wanted("Page views"), _users("Visitors")),
        spec_type=SpecType.PAGE,
    ),
    Template(
        "screen-views",
        "Mobile",
        "Screen views and users",
        "Use of the app by version.",
        (Wanted("Screen views"), _users("Users")),
        spec_type=SpecType.SCREEN,
    ),
)
