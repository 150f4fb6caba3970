"""Worlds of people who walk, take things and give them: kinds 1 to 3, 5 to 14 and 20 of the bAbI questions.

The kinds and words are those of Weston et al. (2015); the simulation is Lowland's own.
"""

from __future__ import annotations

from lowland.data.stories import Ask, Draw, Line, World

PEOPLE = ("Mary", "John", "Sandra", "Daniel")
HE = ("John", "Daniel", "Fred", "Jeff", "Bill")
PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
THINGS = ("apple", "football", "milk")
WENT = ("went to", "moved to", "journeyed to", "travelled to", "went back to")
TAKE = ("got", "took", "grabbed", "picked up")
DROP = ("dropped", "discarded", "put down", "left")
NUMBERS = ("none", "one", "two", "three")


class _People:
    """Who is where and holds what, with the places of the lines that said so."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.lines: list[Line] = []
        self.place: dict[str, tuple[str, int]] = {}
        self.held: dict[str, dict[str, int]] = {name: {} for name in PEOPLE}
        self.visits: dict[str, list[tuple[str, tuple[int, ...]]]] = {thing: [] for thing in THINGS}
        self.left: dict[str, int] = {}
        self.touched: dict[str, list[int]] = {name: [] for name in PEOPLE}

    def say(self, line: Line) -> int:
        self.lines.append(line)
        return len(self.lines) - 1

    def walk(self, name: str | None = None) -> str:
        name = name or self.draw.one(PEOPLE)
        now = self.place.get(name, ("", 0))[0]
        where = self.draw.one([place for place in PLACES if place != now])
        self.place[name] = where, self.say(f"{name} {self.draw.one(WENT)} the {where}.")
        for thing in self.held[name]:
            self._visit(thing, name)
        return name

    def _visit(self, thing: str, name: str) -> None:
        where, line = self.place[name]
        if not self.visits[thing] or self.visits[thing][-1][0] != where:
            self.visits[thing].append((where, (self.held[name][thing], line)))

    def handle(self) -> None:
        """Someone takes or drops something, if they can; else someone walks."""
        name = self.draw.one(PEOPLE)
        owned = {thing for each in self.held.values() for thing in each}
        at = self.place.get(name, ("", 0))[0]
        free = [
            thing
            for thing in THINGS
            if thing not in owned and at and (not self.visits[thing] or self.visits[thing][-1][0] == at)
        ]
        held = list(self.held[name])
        if held and self.draw.below(3) == 0:
            thing = self.draw.one(held)
            line = self.say(f"{name} {self.draw.one(DROP)} the {thing}.")
            del self.held[name][thing]
            self.left[thing] = line
            self.touched[name].append(line)
        elif free:
            thing = self.draw.one(free)
            line = self.say(f"{name} {self.draw.one(TAKE)} the {thing}.")
            self.held[name][thing] = line
            self.touched[name].append(line)
            self._visit(thing, name)
        else:
            self.walk()

    def live(self, steps: int) -> None:
        for _ in range(steps):
            if self.draw.below(2):
                self.walk()
            else:
                self.handle()


def where_is_someone(draw: Draw) -> list[Line]:
    """Kind 1."""
    world = _People(draw)
    for _ in range(5):
        world.walk()
        world.walk()
        name = draw.one(list(world.place))
        where, line = world.place[name]
        world.say(Ask(f"Where is {name}?", where, (line,)))
    return world.lines


def where_is_something(draw: Draw) -> list[Line]:
    """Kind 2."""
    world = _People(draw)
    world.live(6)
    for _ in range(5):
        world.live(2)
        seen = [thing for thing in THINGS if world.visits[thing]]
        if seen:
            thing = draw.one(seen)
            where, lines = world.visits[thing][-1]
            world.say(Ask(f"Where is the {thing}?", where, tuple(sorted(lines))))
    return _asked(world, where_is_something)


def where_was_something(draw: Draw) -> list[Line]:
    """Kind 3."""
    world = _People(draw)
    world.live(12)
    for _ in range(5):
        world.live(4)
        # What was there twice could be asked for either time.
        seen = [t for t in THINGS if len(v := world.visits[t]) > 1 and [w for w, _ in v].count(v[-1][0]) == 1]
        if seen:
            thing = draw.one(seen)
            (before, first), (now, second) = world.visits[thing][-2:]
            support = tuple(sorted({*first, *second}))
            world.say(Ask(f"Where was the {thing} before the {now}?", before, support))
    return _asked(world, where_was_something)


def _asked(world: _People, again: World) -> list[Line]:
    """The lines up to the last question, or those of another story if none could be asked."""
    asked = [place for place, line in enumerate(world.lines) if isinstance(line, Ask)]
    if asked:
        return world.lines[: asked[-1] + 1]
    return again(world.draw)


def who_gave_what(draw: Draw) -> list[Line]:
    """Kind 5."""
    people, lines = ("Mary", "Jeff", "Bill", "Fred"), list[Line]()
    for _ in range(3):
        for _ in range(draw.below(3)):
            lines.append(f"{draw.one(people)} {draw.one(WENT)} the {draw.one(PLACES)}.")
        (giver, taker), thing = draw.some(people, 2), draw.one(THINGS)
        lines.append(f"{giver} {draw.one(TAKE)} the {thing} there.")
        line = len(lines)
        lines.append(f"{giver} {draw.one(('gave', 'passed', 'handed'))} the {thing} to {taker}.")
        for _ in range(draw.below(2)):
            lines.append(f"{draw.one(people)} {draw.one(WENT)} the {draw.one(PLACES)}.")
        asked = [
            (f"Who gave the {thing} to {taker}?", giver), (f"Who did {giver} give the {thing} to?", taker),
            (f"What did {giver} give to {taker}?", thing), (f"Who received the {thing}?", taker),
            (f"Who gave the {thing}?", giver),
        ]  # fmt: skip
        lines.append(Ask(*draw.one(asked), (line,)))
    return lines


def is_someone_there(draw: Draw) -> list[Line]:
    """Kind 6."""
    world = _People(draw)
    for _ in range(5):
        world.live(2)
        if not world.place:
            world.walk()
        name = draw.one(list(world.place))
        where, line = world.place[name]
        asked = where if draw.below(2) else draw.one([place for place in PLACES if place != where])
        world.say(Ask(f"Is {name} in the {asked}?", "yes" if asked == where else "no", (line,)))
    return world.lines


def how_many_things(draw: Draw) -> list[Line]:
    """Kind 7."""
    world = _People(draw)
    for _ in range(5):
        world.live(3)
        name = draw.one(PEOPLE)
        if world.touched[name]:
            answer = NUMBERS[len(world.held[name])]
            world.say(Ask(f"How many objects is {name} carrying?", answer, tuple(world.touched[name])))
    return _asked(world, how_many_things)


def which_things(draw: Draw) -> list[Line]:
    """Kind 8."""
    world = _People(draw)
    for _ in range(5):
        world.live(3)
        name = draw.one(PEOPLE)
        if world.touched[name]:
            answer = ",".join(sorted(world.held[name], key=lambda thing: world.held[name][thing])) or "nothing"
            world.say(Ask(f"What is {name} carrying?", answer, tuple(world.touched[name])))
    return _asked(world, which_things)


def is_someone_no_longer_there(draw: Draw) -> list[Line]:
    """Kind 9."""
    lines, known = list[Line](), {}
    for _ in range(5):
        for _ in range(2):
            name, where = draw.one(PEOPLE), draw.one(PLACES)
            denied = draw.below(3) == 0
            form = "is no longer in" if denied else draw.one((*WENT, "is in"))
            known[name] = where, denied, len(lines)
            lines.append(f"{name} {form} the {where}.")
        # Of someone who is no longer somewhere, only that place is known.
        name = draw.one(list(known))
        where, denied, line = known[name]
        asked = where if denied or draw.below(2) else draw.one([place for place in PLACES if place != where])
        answer = "yes" if asked == where and not denied else "no"
        lines.append(Ask(f"Is {name} in the {asked}?", answer, (line,)))
    return lines


def may_someone_be_there(draw: Draw) -> list[Line]:
    """Kind 10."""
    people, places = ("Fred", "Bill", "Julie", "Mary"), ("cinema", "bedroom", "kitchen", "school", "office", "park")
    lines, known = list[Line](), {}
    for _ in range(5):
        for _ in range(2):
            name = draw.one(people)
            chosen = draw.some(places, 1 + draw.below(2))
            known[name] = chosen, len(lines)
            if len(chosen) == 2:
                lines.append(f"{name} is either in the {chosen[0]} or the {chosen[1]}.")
            else:
                lines.append(f"{name} {draw.one((*WENT, 'is in'))} the {chosen[0]}.")
        name = draw.one(list(known))
        chosen, line = known[name]
        asked = draw.one(chosen) if draw.below(3) else draw.one([place for place in places if place not in chosen])
        answer = "no" if asked not in chosen else "yes" if len(chosen) == 1 else "maybe"
        lines.append(Ask(f"Is {name} in the {asked}?", answer, (line,)))
    return lines


def _then(draw: Draw, count: int, pronouns: bool) -> list[Line]:
    """Kinds 11 to 13: one or two people go somewhere; with pronouns, the next sentence goes on with them."""
    lines, known = list[Line](), {}
    for _ in range(5):
        names = draw.some(PEOPLE, count)
        for turn in range(2):
            where, line = draw.one(PLACES), len(lines)
            if turn and pronouns:
                subject = "they" if count > 1 else "he" if names[0] in HE else "she"
                after = draw.one(("Then", "Following that", "After that", "Afterwards"))
                lines.append(f"{after} {subject} {draw.one(WENT)} the {where}.")
            else:
                names = names if pronouns else draw.some(PEOPLE, count)
                lines.append(f"{' and '.join(names)} {draw.one(WENT)} the {where}.")
            for name in names:
                known[name] = where, ((line - 1, line) if turn and pronouns else (line,))
        name = draw.one(list(known))
        lines.append(Ask(f"Where is {name}?", *known[name]))
    return lines


def where_is_he(draw: Draw) -> list[Line]:
    """Kind 11."""
    return _then(draw, 1, pronouns=True)


def where_are_both(draw: Draw) -> list[Line]:
    """Kind 12."""
    return _then(draw, 2, pronouns=False)


def where_are_they(draw: Draw) -> list[Line]:
    """Kind 13."""
    return _then(draw, 2, pronouns=True)


def where_was_someone_before(draw: Draw) -> list[Line]:
    """Kind 14."""
    people, places = ("Fred", "Bill", "Julie", "Mary"), ("cinema", "bedroom", "kitchen", "school", "office", "park")
    times = ("Yesterday", "This morning", "This afternoon", "This evening")
    facts = []
    for name in draw.some(people, 2):
        chosen = draw.some(places, len(times))
        facts += [(time, name, where, order) for order, (time, where) in enumerate(zip(times, chosen, strict=True))]
    lines, known = list[Line](), {}
    for place, (time, name, where, order) in enumerate(draw.some(facts, len(facts))):
        lines.append(f"{time} {name} {draw.one(WENT)} the {where}.")
        known[name, order] = where, place
    for _ in range(3):
        name, order = draw.one(list({name for _, name, _, _ in facts})), 1 + draw.below(len(times) - 1)
        (before, first), (now, second) = known[name, order - 1], known[name, order]
        lines.append(Ask(f"Where was {name} before the {now}?", before, tuple(sorted((first, second)))))
    return lines


_MOTIVES = {
    "hungry": ("kitchen", "apple"), "thirsty": ("kitchen", "milk"), "tired": ("bedroom", "pajamas"),
    "bored": ("garden", "football"),
}  # fmt: skip


def why_did_someone(draw: Draw) -> list[Line]:
    """Kind 20."""
    people = ("Antoine", "Jason", "Sumit", "Yann")
    lines = list[Line]()
    for name, motive in zip(draw.some(people, 3), draw.some(list(_MOTIVES), 3), strict=True):
        where, thing = _MOTIVES[motive]
        state = len(lines)
        lines.append(f"{name} is {motive}.")
        lines.append(Ask(f"Where will {name} go?", where, (state,)))
        lines.append(f"{name} {draw.one(WENT)} the {where}.")
        lines.append(Ask(f"Why did {name} go to the {where}?", motive, (state,)))
        if draw.below(2):
            lines.append(f"{name} {draw.one(TAKE)} the {thing} there.")
            lines.append(Ask(f"Why did {name} get the {thing}?", motive, (state,)))
    return lines
