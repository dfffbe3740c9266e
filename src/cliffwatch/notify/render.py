"""A message in words and in pictures: plain text, HTML for mail, the chart as PNG. Pure.

The HTML is made for mail programs: tables, inline styles, no web fonts, no request. Dark colours come by
`prefers-color-scheme` where that is understood; where it is not, the light ones stand by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cliffwatch.notify.chart import Size, Theme, png, svg
from cliffwatch.notify.message import Item, Message, Purpose, Section

CHART_SIZE = Size(560, 240)
Actions = Sequence[tuple[str, str]]
"""(label, URL) of what may be done from a message."""

_DARK = """
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .cw-ground { background-color: #0c0e12 !important; }
  .cw-card { background-color: #13161c !important; border-color: #232833 !important; }
  .cw-text { color: #e9ebef !important; }
  .cw-soft { color: #abb3c1 !important; }
  .cw-faint { color: #8d96a6 !important; }
  .cw-rule { border-color: #232833 !important; }
  .cw-note { background-color: #1a1e26 !important; }
  .cw-bad { color: #ff8d85 !important; background-color: #321617 !important; }
  .cw-good { color: #5fcf9a !important; background-color: #10291d !important; }
  .cw-plain { color: #8ea9ff !important; background-color: #182142 !important; }
  .cw-link { color: #8ea9ff !important; }
}
@media (max-width: 480px) {
  .cw-pad { padding-left: 20px !important; padding-right: 20px !important; }
  .cw-headline { font-size: 19px !important; }
}
"""

_FONT = "font-family:Inter,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;"


@dataclass(frozen=True, slots=True)
class _Badge:
    label: str
    name: str
    colour: str
    ground: str


_BADGES = {
    Purpose.OPENED: _Badge("New incident", "cw-bad", "#bd2820", "#fdeeec"),
    Purpose.UPDATED: _Badge("Update", "cw-bad", "#bd2820", "#fdeeec"),
    Purpose.RESOLVED: _Badge("Recovered", "cw-good", "#14693f", "#e8f6ee"),
    Purpose.RETRACTED: _Badge("Taken back", "cw-good", "#14693f", "#e8f6ee"),
    Purpose.DIGEST: _Badge("Digest", "cw-plain", "#2b54dd", "#ebf0ff"),
    Purpose.TROUBLE: _Badge("Cliffwatch needs help", "cw-bad", "#bd2820", "#fdeeec"),
    Purpose.WELL_AGAIN: _Badge("Works again", "cw-good", "#14693f", "#e8f6ee"),
    Purpose.TEST: _Badge("Test", "cw-plain", "#2b54dd", "#ebf0ff"),
}


def label(purpose: Purpose) -> str:
    """`New incident`, `Update`, `Recovered` ..."""
    return _BADGES[purpose].label


def paragraphs(message: Message) -> tuple[str, ...]:
    """What stands below the first line: the headline where the cause came first, the cause once it is over; a note."""
    return tuple(line for line in (second_line(message), message.note) if line)


def second_line(message: Message) -> str:
    """What the first line left out; "" where it says everything."""
    if message.first_line == message.headline:
        return f"The cause was: {message.cause}" if message.cause else ""
    return "" if message.headline in message.first_line else message.headline


def words_of(item: Item) -> str:
    """An item in one line of plain text, without its address."""
    return f"{item.text} ({item.detail})" if item.detail else item.text


def plain_text(message: Message, actions: Actions = (), unsubscribe: str = "") -> str:
    """The message for readers without HTML; its first line is the root cause, where that is known."""
    lines = [message.first_line]
    lines += paragraphs(message)
    for section in message.sections:
        lines += ["", section.title]
        lines += [f"- {words_of(item)}" + (f"\n  {item.url}" if item.url else "") for item in section.items]
        lines += [f"- {section.rest}"] if section.rest else []
    width = max((len(label) for label, _ in message.facts), default=0)
    lines += ["", *(f"{label.ljust(width)}  {value}" for label, value in message.facts)]
    lines += ["", f"{message.action}: {message.url}", *(f"{name}: {url}" for name, url in actions)]
    lines += ["", f"-- \nCliffwatch, workspace {message.workspace}"]
    lines += [f"Unsubscribe: {unsubscribe}"] if unsubscribe else []
    return "\n".join(lines) + "\n"


def html_mail(
    message: Message, light: str | None, dark: str | None = None, actions: Actions = (), unsubscribe: str = ""
) -> str:
    """The HTML of a mail. `light` and `dark` are the addresses (`cid:...`) of the chart's pictures, where there are;
    `unsubscribe` is that of the page where its reader stops such mails."""
    badge = _BADGES[message.purpose]
    rows = [
        _row(
            f'<span class="{badge.name}" style="display:inline-block;padding:3px 10px;border-radius:999px;'
            f'font-size:12px;line-height:18px;font-weight:600;color:{badge.colour};background-color:{badge.ground};">'
            f"{badge.label}</span>"
            '<span class="cw-faint" style="font-size:13px;color:#636b7a;">'
            f"&nbsp;&nbsp;{escape(message.workspace)}</span>",
            top=28,
        ),
        _row(
            '<h1 class="cw-text cw-headline" style="margin:0;font-size:21px;line-height:1.35;font-weight:650;'
            f'letter-spacing:-0.01em;color:#12151c;">{escape(message.first_line)}</h1>',
            top=12,
        ),
    ]
    if second := second_line(message):
        rows.append(_row(_second_line(second), top=8))
    if message.note:
        rows.append(
            _row(
                '<p class="cw-note cw-soft" style="margin:0;padding:10px 14px;border-radius:8px;font-size:14px;'
                f'line-height:1.5;background-color:#f3f4f7;color:#4a5160;">{escape(message.note)}</p>',
                top=14,
            )
        )
    if light:
        rows.append(_row(_picture(message, light, dark), top=18))
    if message.facts:
        rows.append(_row(_facts(message), top=14))
    rows += [_row(_section(section), top=22) for section in message.sections]
    rows.append(_row(_button(message), top=20, bottom=14 if actions else 28))
    if actions:
        rows.append(_row(_action_links(actions), top=0, bottom=28))
    return _page(message, "".join(rows), unsubscribe)


def chart_png(message: Message, theme: Theme = "light", *, zoom: float = 2.0) -> bytes | None:
    """The chart as PNG, or None where there is none or it cannot be drawn: the message goes out all the same."""
    if message.chart is None:
        return None
    try:
        return png(svg(message.chart, CHART_SIZE, theme), zoom=zoom)
    except (ValueError, ArithmeticError):
        return None


def _page(message: Message, rows: str, unsubscribe: str) -> str:
    preview = escape(message.first_line)
    stop = (
        f' <a class="cw-link" href="{escape(unsubscribe, quote=True)}" style="color:#2b54dd;">Unsubscribe</a>'
        if unsubscribe
        else ""
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{escape(message.subject)}</title><style>{_DARK}</style></head>"
        f'<body class="cw-ground" style="margin:0;padding:0;background-color:#f7f8fa;{_FONT}">'
        f'<div style="display:none;max-height:0;overflow:hidden;">{preview}{"&#847;&zwnj;&nbsp;" * 40}</div>'
        '<table role="presentation" class="cw-ground" width="100%" cellpadding="0" cellspacing="0" border="0" '
        'style="background-color:#f7f8fa;"><tr><td align="center" style="padding:28px 12px;">'
        '<table role="presentation" class="cw-card" width="100%" cellpadding="0" cellspacing="0" border="0" '
        'style="max-width:624px;background-color:#ffffff;border:1px solid #e4e7ec;border-radius:14px;'
        f'border-collapse:separate;{_FONT}">{rows}</table>'
        '<p class="cw-faint" style="margin:18px 0 0;font-size:12px;line-height:1.6;color:#636b7a;">'
        f"Sent by Cliffwatch for the workspace {escape(message.workspace)}. Times are {escape(message.time_zone)}."
        f"{stop}</p>"
        "</td></tr></table></body></html>"
    )


def _row(inner: str, *, top: int, bottom: int = 0) -> str:
    return f'<tr><td class="cw-pad" style="padding:{top}px 32px {bottom}px;">{inner}</td></tr>'


def _second_line(text: str) -> str:
    style = "margin:0;font-size:15px;line-height:1.55;color:#4a5160;"
    return f'<p class="cw-soft" style="{style}">{escape(text)}</p>'


def _picture(message: Message, light: str, dark: str | None) -> str:
    described = escape(f"Chart: {message.headline}", quote=True)
    source = f'<source srcset="{dark}" media="(prefers-color-scheme: dark)">' if dark else ""
    return (
        f'<picture>{source}<img src="{light}" width="{CHART_SIZE.width}" alt="{described}" '
        'style="display:block;width:100%;max-width:100%;height:auto;border:0;border-radius:8px;"></picture>'
    )


def _facts(message: Message) -> str:
    cells = "".join(
        '<tr><td class="cw-faint cw-rule" width="108" valign="top" style="padding:9px 12px 9px 0;'
        f'border-top:1px solid #e4e7ec;font-size:13px;line-height:1.5;color:#636b7a;">{escape(label)}</td>'
        '<td class="cw-text cw-rule" valign="top" style="padding:9px 0;border-top:1px solid #e4e7ec;font-size:14px;'
        f'line-height:1.5;color:#12151c;font-variant-numeric:tabular-nums;">{escape(value)}</td></tr>'
        for label, value in message.facts
    )
    return (
        f'<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="{_FONT}">'
        f"{cells}</table>"
    )


def _section(section: Section) -> str:
    """A titled list; each line leads to its page."""
    title = (
        '<h2 class="cw-text" style="margin:0 0 4px;font-size:14px;line-height:1.5;font-weight:650;color:#12151c;">'
        f"{escape(section.title)}</h2>"
    )
    items = "".join(_item(item) for item in section.items)
    rest = _item(Item(section.rest)) if section.rest else ""
    return (
        f'{title}<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="{_FONT}">'
        f"{items}{rest}</table>"
    )


def _item(item: Item) -> str:
    text = escape(item.text)
    if item.url:
        text = (
            f'<a class="cw-link" href="{escape(item.url, quote=True)}" style="color:#2b54dd;text-decoration:none;'
            f'font-weight:500;">{text}</a>'
        )
    detail = (
        f'<br><span class="cw-faint" style="font-size:13px;color:#636b7a;">{escape(item.detail)}</span>'
        if item.detail
        else ""
    )
    return (
        '<tr><td class="cw-text cw-rule" valign="top" style="padding:8px 0;border-top:1px solid #e4e7ec;font-size:14px;'
        f'line-height:1.5;color:#12151c;">{text}{detail}</td></tr>'
    )


def _action_links(actions: Actions) -> str:
    """What may be done right from the message; each link asks once."""
    links = "".join(
        f'<a class="cw-link" href="{escape(url, quote=True)}" style="display:inline-block;margin:0 18px 0 0;'
        f'padding:6px 0;font-size:14px;font-weight:600;color:#2b54dd;text-decoration:none;">{escape(name)}</a>'
        for name, url in actions
    )
    return f"<div>{links}</div>"


def _button(message: Message) -> str:
    url = escape(message.url, quote=True)
    return (
        '<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>'
        '<td bgcolor="#2b54dd" style="border-radius:8px;">'
        f'<a href="{url}" style="display:inline-block;padding:11px 20px;font-size:14px;font-weight:600;'
        f'line-height:20px;color:#ffffff;text-decoration:none;border-radius:8px;{_FONT}">{escape(message.action)}</a></td></tr></table>'
    )
