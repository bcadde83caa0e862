"""Which hydrators a service needs: one for each word that its feeds' plugins read."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

from pydantic import TypeAdapter, ValidationError

from feedkit.config.methods import lacking
from feedkit.config.problems import Place, Problems, did_you_mean, first_line, in_words, shorten
from feedkit.config.validation import plain
from feedkit.needs import STORED
from feedkit.parameters import Parameters
from feedkit.plugin import Filter, Hydrator, Plugin, too_early

Made = Mapping[str, Iterable[tuple[Parameters, Place, str]]]


def needed(
    plugins: Iterable[type[Plugin]],
    configured: Iterable[Hydrator] | None,
    words: Iterable[str],
    made: Made,
    problems: Problems,
) -> tuple[Hydrator, ...]:
    """The hydrators that provide `words`: those that are `configured`, else those of `plugins`
    that need no parameters. `configured` None: what is configured could not be read. `made`: all
    plugins with their places, for what is wrong."""
    known = [cls for cls in plugins if issubclass(cls, Hydrator)]
    chosen: dict[str, Hydrator] = {}
    for one in configured or ():
        for word in one.provides:
            chosen.setdefault(word, one)
    candidates = {word: [cls for cls in known if word in cls.provides] for word in sorted(words)}
    tried: dict[type[Hydrator], Hydrator | None] = {}
    for word, classes in candidates.items():
        if word in chosen:
            continue
        place, path = _first(word, made)
        if not classes:
            every = {name for cls in known for name in cls.provides}
            message = f"no hydrator provides {shorten(word)}{did_you_mean(word, every)}"
            problems.add(place, path, message)
        elif configured is None:
            continue
        elif len(classes) > 1:
            names = in_words((cls.yaml_name() for cls in classes), "and")
            message = f"{names} provide {word!r}; name the one you mean under hydrators:"
            problems.add(place, path, message)
        else:
            cls = classes[0]
            if cls not in tried:
                tried[cls] = _with_defaults(cls, place, path, problems)
            if (hydrator := tried[cls]) is not None:
                chosen[word] = hydrator
    used = {chosen[word]: word for word in candidates if word in chosen}
    for hydrator, word in used.items():
        if said := fault(hydrator):
            problems.add(*_first(word, made), f"the hydrator {hydrator.yaml_name()}: {said}")
    return tuple(used)


def check_needs(plugins: Iterable[tuple[Parameters, Place, str]], problems: Problems) -> None:
    """Refuses filters that need what no hydrator can find out: their posts would wait for ever."""
    for plugin, place, path in plugins:
        if isinstance(plugin, Filter) and plugin.needs and (said := too_early(plugin)):
            problems.add(place, path, f"{plugin.yaml_name()} {said}")


def fault(hydrator: Hydrator) -> str:
    """What is wrong with how `hydrator` is written, or nothing."""
    if not isinstance(hydrator.provides, Mapping) or not hydrator.provides:
        return 'provides must name words and their types, such as {"bird": float}'
    for word, kind in hydrator.provides.items():
        if not isinstance(word, str) or not word.isidentifier() or word in STORED:
            return f"provides: {word!r} cannot be a word; write a name such as bird_score"
        try:
            if isinstance(kind, str):
                raise TypeError
            TypeAdapter(kind)
        except Exception:  # pydantic raises errors of several kinds
            return f"provides: {kind!r} is no type for {word!r}; write float, int, str, bool …"
    if hydrator.needs:
        return "it has needs, but a hydrator is asked before anything is known; look it up itself"
    if hydrator.batch < 1 or hydrator.tries < 1 or hydrator.deadline <= 0 or hydrator.backoff < 0:
        return "batch and tries are at least 1, deadline and backoff are seconds"
    if lacking(type(hydrator)):
        return ""  # that is told of where the class is written
    try:
        inspect.signature(hydrator.hydrate).bind((), None)
    except TypeError as error:
        return f"hydrate does not take what it is given ({error}); write {_HYDRATE}"
    if inspect.iscoroutinefunction(hydrator.hydrate):
        return f"hydrate must not be async, it has a thread to itself; write {_HYDRATE}"
    return ""


_HYDRATE = "def hydrate(self, posts, context)"


def _first(word: str, made: Made) -> tuple[Place, str]:
    """The first place where something stands that needs `word`."""
    found = [
        (place, path)
        for plugins in made.values()
        for plugin, place, path in plugins
        if word in getattr(plugin, "needs", ())
    ]
    return min(found, default=(Place(""), ""))


def _with_defaults(
    cls: type[Hydrator], place: Place, path: str, problems: Problems
) -> Hydrator | None:
    name = cls.yaml_name()
    try:
        return cls()
    except ValidationError as error:
        message = (
            f"the hydrator {name} needs parameters ({plain(error)}); write it under hydrators:"
        )
    except Exception as error:  # a plugin's own validator may raise anything
        message = f"the hydrator {name} could not be made: {first_line(error)}"
    problems.add(place, path, message)
    return None
