"""The rehearsal captioner: a small grammar whose sentences say what the rehearsal painter can draw.

Stands where Llama 2 stands in SynCLR 3.1. A text is a function of its request alone; it reads no prompt.
"""

from collections.abc import Sequence

from synclr_assets.synthesis.identity import draw, draw_unit
from synclr_assets.synthesis.protocols import (
    CaptionRequest,
    Completion,
    ModelProvenance,
    settings_fingerprint,
)
from synclr_assets.synthesis.vocabulary import (
    COLOURS,
    DARK_COLOURS,
    FINISHES,
    LIGHTS,
    MEDIA,
    OBJECTS,
    PALE_COLOURS,
    SIZES,
    SURFACES,
    TILTS,
    USUAL_COLOURS,
    WEIGHTS,
    Thing,
    singular,
    thing_of,
    words_of,
)

REVISION = "1"
"""Raised whenever the same request would be answered differently."""

_OTHERS = (
    *OBJECTS, "coin", "pencil", "lamp", "stone", "book", "candle", "bottle", "chair", "bell", "clock", "leaf",
    "ball", "shell", "basket", "teapot", "cushion", "ladder", "kite", "bucket", "drum", "lantern", "feather",
)  # fmt: skip
"""Second things of a relation."""

_LEADS = ("", "", "", "Close-up of ", "A photo of ", "A picture of ", "A view of ")
_TEXTURE_LEADS = ("", "", "Close-up of ", "A detail of ", "A swatch of ", "Top view of ", "A flat sample of ")
_MEDIUM_VERBS = ("", "", "drawn ", "written ", "traced ")
_BACKGROUND_FORMS = (
    " against {}", ", set against {}", ", with {} behind it", ", with {} in the background",
    ", with {} as the backdrop",
)  # fmt: skip
_SURFACE_FORMS = (" on {}", " across {}", " against {}", ", set against {}", ", with {} behind it")
_DIGIT_SIZES = ("small", "large", "big", "huge")
_LIGHT_FORMS = {
    "lamplight": "by", "moonlight": "by", "a single spotlight": "under", "light from the left": "with",
    "light from the right": "with",
}  # fmt: skip


class RehearsalCaptioner:
    """Completes every request by the grammar; counts words as tokens."""

    def __init__(self, prompt_set_fingerprint: str) -> None:
        self.provenance = ModelProvenance(
            model="rehearsal-captioner",
            revision=REVISION,
            licence="Apache-2.0",
            fingerprint=settings_fingerprint(
                "rehearsal-captioner", REVISION, prompt_set=prompt_set_fingerprint
            ),
        )

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        """One sentence per request, in order."""
        completions = []
        for request in requests:
            text = write_caption(request)
            completions.append(Completion(text, len(request.prompt.split()), len(text.split())))
        return completions


def write_caption(request: CaptionRequest) -> str:
    """One English sentence that mentions the concept, and the background or relation of its template."""
    dice = _Dice(request)
    thing = thing_of(request.concept)
    lead = dice.pick("lead", _TEXTURE_LEADS if thing.kind == "texture" else _LEADS)
    sentence = lead + _noun_phrase(request, thing, dice) + _medium(thing, dice)
    if request.template == "c_rel":
        sentence += f" {request.relation} {_other(request, dice)}"
    elif request.template == "c_bg":
        forms = _SURFACE_FORMS if thing.kind == "digit" else _BACKGROUND_FORMS
        sentence += dice.pick("place", forms).format(request.background)
    sentence += _tilt(thing, dice) + _light(dice)
    return sentence[0].upper() + sentence[1:] + "."


class _Dice:
    """Draws by name, fixed for one caption id and attempt."""

    def __init__(self, request: CaptionRequest) -> None:
        self._key = ("rehearsal-caption", request.caption_id, request.attempt)

    def pick(self, name: str, choices: Sequence[str]) -> str:
        return draw(*self._key, name, choices=choices)

    def chance(self, name: str, probability: float) -> bool:
        return draw_unit(*self._key, name) < probability


def _noun_phrase(request: CaptionRequest, thing: Thing, dice: _Dice) -> str:
    """The concept with the adjectives and details that the caption fixes."""
    adjectives = []
    if dice.chance("has-size", 0.2 if request.template == "c_rel" else 0.4):
        adjectives.append(dice.pick("size", _DIGIT_SIZES if thing.kind == "digit" else tuple(SIZES)))
    if thing.kind == "digit" and dice.chance("has-weight", 0.4):
        adjectives.append(dice.pick("weight", tuple(WEIGHTS)))
    if thing.kind == "texture" and dice.chance("has-surface", 0.45):
        adjectives.append(dice.pick("surface", tuple(SURFACES)))
    if dice.chance("has-finish", 0.3):
        adjectives.append(dice.pick("finish", tuple(FINISHES)))
    detail = ""
    if thing.kind == "texture":
        if dice.chance("has-colours", 0.8):
            first, second = _two_colours(dice)
            detail = f" in {first} and {second}"
    elif dice.chance("has-colour", 0.65):
        colour = dice.pick("colour", _colours_of(thing, dice))
        adjectives.append(colour)
        if thing.kind != "digit" and dice.chance("has-detail", 0.45):
            others = [name for name in COLOURS if name != colour]
            detail = f" with {dice.pick('detail', others)} details"
    return _with_article(adjectives, request.concept, thing) + detail


def _colours_of(thing: Thing, dice: _Dice) -> Sequence[str]:
    """Colours a caption may give a thing: mostly its usual ones, and mostly pale ink for digits."""
    if thing.kind == "digit":
        return PALE_COLOURS if dice.chance("pale", 0.88) else DARK_COLOURS
    if thing.kind == "object" and dice.chance("usual", 0.75):
        return USUAL_COLOURS[thing.name]
    return tuple(COLOURS)


def _two_colours(dice: _Dice) -> tuple[str, str]:
    """A pale and a dark colour in either order, so that a pattern shows."""
    pale = dice.pick("pale-colour", PALE_COLOURS)
    dark = dice.pick("dark-colour", (*DARK_COLOURS, "red", "magenta", "olive"))
    return (pale, dark) if dice.chance("pale-first", 0.5) else (dark, pale)


def _with_article(adjectives: Sequence[str], concept: str, thing: Thing) -> str:
    """`the digit one`, `a large red mug`, `an apple`, `scissors`."""
    words = " ".join([*adjectives, concept])
    spoken = words_of(concept)
    if spoken and spoken[0] in ("a", "an", "the"):
        return " ".join([concept, *([f"({' and '.join(adjectives)})"] if adjectives else [])])
    if thing.kind == "digit" and not adjectives:
        return "the " + words
    if spoken and thing.kind == "unknown" and singular(spoken[-1]) != spoken[-1]:
        return words
    return indefinite(words)


def indefinite(words: str) -> str:
    """The words after `a` or `an`, by the sound they begin with as far as spelling tells."""
    start = words.casefold()
    vowel = start[:1] in tuple("aeiou") and not start.startswith(("one", "uni", "use", "eu", "ura", "uke"))
    return ("an " if vowel or start.startswith(("hour", "heir", "honest")) else "a ") + words


def _medium(thing: Thing, dice: _Dice) -> str:
    """What a digit is written in."""
    if thing.kind != "digit" or not dice.chance("has-medium", 0.35):
        return ""
    return f" {dice.pick('verb', _MEDIUM_VERBS)}in {dice.pick('medium', MEDIA)}"


def _tilt(thing: Thing, dice: _Dice) -> str:
    """How a thing leans."""
    if thing.kind == "texture" or not dice.chance("has-tilt", 0.25):
        return ""
    return f", {dice.pick('tilt', tuple(TILTS))}"


def _other(request: CaptionRequest, dice: _Dice) -> str:
    """The second thing of a relation: never the concept itself."""
    taken = set(words_of(request.concept))
    noun = dice.pick("other", [name for name in _OTHERS if name not in taken])
    if dice.chance("other-has-colour", 0.5):
        noun = f"{dice.pick('other-colour', USUAL_COLOURS.get(noun, tuple(COLOURS)))} {noun}"
    return indefinite(noun)


def _light(dice: _Dice) -> str:
    if not dice.chance("has-light", 0.5):
        return ""
    light = dice.pick("light", tuple(LIGHTS))
    return f", {_LIGHT_FORMS.get(light, 'in')} {light}"
