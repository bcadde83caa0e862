"""Posts that plugins stumble over: empty, huge, in many scripts, with everything or nothing."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from feedkit.post import External, Image, Post
from feedkit.testing.posts import ALICE, BOB, NOW, post

_TEXTS = (
    "", " ", "\n\n", "a", "#", "@", "🐦", "🐦‍⬛", "👩‍👩‍👧‍👦", "❤️", "🇦🇺🇸🇪", "1️⃣ 2️⃣",
    "Installed Debian on the old laptop #linux #KDE",
    "Birds of the north: heron, tern and the puffin. https://www.ebird.org/checklist/1",
    "The Kernel\nPanic,  twice!", "L\u200bi\u200bn\u200bu\u200bx and so\u00adft hy\u00adphens",
    "ＦＵＬＬ ｗｉｄｔｈ ＬＩＮＵＸ", "𝕱𝖗𝖆𝖐𝖙𝖚𝖗 and ﬁne ligatures…", "cafe\u0301 naïve Straße ŒUVRE",
    "Z̷͓͎̫͊̀͘a̴̡͂l̸̰̆g̵̲̈ô̶̗", "İstanbul'da ığdır IĞDIR", "ΟΔΥΣΣΕΥΣ όδυσσεύς",
    "絵を描いた", "絵文字だけ",
    "猫カフェ #猫カフェ に行った #猫", "日本語とEnglishの混ざった文。ｶﾞｷﾞ",
    "오늘은 고양이를 봤어요", "今天天气很好，我们去看鸟。", "ภาษาไทยไม่มีช่องว่าง",
    "مرحبا بالعالم، هذا نصّ عربي", "שלום עולם #ציפורים", "می‌خواهم بنویسم",
    "\u202eright to left override\u202c", "हिन्दी में लिखा हुआ", "Привет, мир! П’ять",
    "null", "yes", "<script>alert(1)</script>", "'; DROP TABLE posts; --", "%s %d {0} {x}",
    "a\x01b\x7fc\ufffd", "(((((", "[", "\\", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    "word " * 600, "𠮷" * 700, "e\u0301\u0301\u0301" * 300, "#tag" * 300, "http://" * 100,
)  # fmt: skip


@cache
def corpus() -> tuple[Post, ...]:
    """About a hundred posts as they arrive: without counts."""
    plain = [
        post(text, age=timedelta(minutes=7 * number), author=(ALICE, BOB)[number % 2])
        for number, text in enumerate(_TEXTS)
    ]
    first = plain[0]
    langs = [
        post(langs=langs) for langs in ("en", "en-US", "ja", "zh-Hant-TW", "", "x" * 300, "日本")
    ]
    links = [
        post(links=link)
        for link in (
            "https://ebird.org/", "https://bücher.example/", "http://[", "http://1.2.3.4:99/",
            "https://a.b.c.d.example.co.uk/x?y#z", "https://user@evil.example\\@good.example/",
        )
    ]  # fmt: skip
    return (
        *plain,
        *langs,
        *links,
        post(tags=["linux", "KDE", "猫", "", "a b"], labels=["porn", "!hide", "", "🐦"]),
        post(images=["a grey heron by the river", "", "鷺"]),
        post(images=40, gallery=True),
        post(images=[Image("x", width=10**9, height=1)]),
        post(video="linux on a toaster"),
        post(gif=True),
        post(link_card=External("https://media.tenor.com/x.gif", "GIF", "")),
        post(link_card=External("", "Linux 7.0", "A kernel. 絵")),
        post(link_card=External("https://example.org/" + "a" * 8000, "t" * 3000, "d" * 30000)),
        post("going on", reply_to=first),
        post("answering", author=BOB, reply_to=first),
        post(reply_parent=f"at://{BOB}/app.bsky.feed.post/x"),
        post("look", quote=first, images=["alt"]),
        post(mentions=[ALICE, BOB, "did:web:example.org"]),
        post("before time", age="50000d", created_at=NOW - timedelta(days=50000), seen_at=NOW),
        post("from the future", sort_at=NOW + timedelta(hours=3)),
        post(author="did:web:example.org"),
        post(author=""),
        Post(uri="at://did:plc:x/app.bsky.feed.post/bare"),
    )
