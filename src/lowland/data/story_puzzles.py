"""Worlds of relations: kinds 4 and 15 to 19 of the bAbI questions; and the list of all twenty.

The kinds and words are those of Weston et al. (2015); the simulation is Lowland's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from lowland.data import story_people as people
from lowland.data.stories import Ask, Draw, Line, World

_BACK = {"north": "south", "south": "north", "east": "west", "west": "east"}
_MOVES = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
_ANIMALS = ("sheep", "mouse", "wolf", "cat")
_MANY = {"sheep": "sheep", "mouse": "mice", "wolf": "wolves", "cat": "cats"}
_FIGURES = ("triangle", "blue square", "red square", "pink rectangle", "red sphere", "yellow square")
_BOXES = ("box of chocolates", "chocolate", "suitcase", "container", "chest", "box")


def what_is_north(draw: Draw) -> list[Line]:
    """Kind 4: three places in a row, two sentences, one question."""
    places, way = draw.some(people.PLACES, 3), draw.one(list(_BACK))
    lines = list[Line]()
    order = draw.some(range(2), 2)
    for place in order:  # `places[k + 1]` lies to the `way` of `places[k]`
        first, second = places[place], places[place + 1]
        turned = draw.below(2)
        lines.append(
            f"The {first} is {_BACK[way]} of the {second}." if turned else f"The {second} is {way} of the {first}."
        )
    asked = [
        (f"What is {way} of the {places[0]}?", places[1], 0), (f"What is {way} of the {places[1]}?", places[2], 1),
        (f"What is {_BACK[way]} of the {places[1]}?", places[0], 0),
        (f"What is {_BACK[way]} of the {places[2]}?", places[1], 1),
        (f"What is the {places[1]} {way} of?", places[0], 0), (f"What is the {places[2]} {way} of?", places[1], 1),
    ]  # fmt: skip
    question, answer, fact = draw.one(asked)
    lines.append(Ask(question, answer, (order.index(fact),)))
    return lines


def what_is_it_afraid_of(draw: Draw) -> list[Line]:
    """Kind 15: each animal is afraid of another kind, and four of them have names."""
    feared = dict(zip(_ANIMALS, [draw.one([b for b in _ANIMALS if b != a]) for a in _ANIMALS], strict=True))
    named = dict(zip(draw.some(("Gertrude", "Jessica", "Emily", "Winona"), 4), draw.some(_ANIMALS, 4), strict=True))
    facts = [(f"{_MANY[one].capitalize()} are afraid of {_MANY[other]}.", one) for one, other in feared.items()]
    facts += [(f"{name} is a {animal}.", name) for name, animal in named.items()]
    facts = draw.some(facts, len(facts))
    lines: list[Line] = [text for text, _ in facts]
    place = {who: number for number, (_, who) in enumerate(facts)}
    for name in draw.some(list(named), 4):
        support = tuple(sorted((place[name], place[named[name]])))
        lines.append(Ask(f"What is {name} afraid of?", feared[named[name]], support))
    return lines


def what_colour_is_it(draw: Draw) -> list[Line]:
    """Kind 16: animals of one kind have one colour, and the last one's colour was not told."""
    names: list[str] = draw.some(("Lily", "Bernhard", "Greg", "Brian", "Julius"), 5)
    kinds = draw.some(("swan", "lion", "frog", "rhino"), 4)
    colours = {kind: draw.one(("white", "yellow", "green", "gray")) for kind in kinds}
    owned = dict(zip(names, [*kinds[:3], draw.one(kinds[:3]), draw.one(kinds[:3])], strict=True))
    hidden = draw.one([name for name in names if list(owned.values()).count(owned[name]) > 1])
    facts = [(f"{name} is a {kind}.", name, "kind") for name, kind in owned.items()]
    facts += [(f"{name} is {colours[kind]}.", name, "colour") for name, kind in owned.items() if name != hidden]
    facts = draw.some(facts, len(facts))
    place = {(who, what): number for number, (_, who, what) in enumerate(facts)}
    like = next(name for name in names if owned[name] == owned[hidden] and name != hidden)
    support = tuple(sorted((place[hidden, "kind"], place[like, "kind"], place[like, "colour"])))
    answer = colours[owned[hidden]]
    return [*(text for text, _, _ in facts), Ask(f"What color is {hidden}?", answer, support)]


_LIES = {
    "to the left of": (-1, 0), "to the right of": (1, 0), "above": (0, 1), "below": (0, -1),
}  # fmt: skip


def does_it_lie_there(draw: Draw) -> list[Line]:
    """Kind 17: two sentences place three figures on a grid, and all questions have one answer that follows."""
    first, middle, last = draw.some(_FIGURES, 3)
    one, other = draw.one(list(_LIES)), draw.one(list(_LIES))
    texts = [f"The {first} is {one} the {middle}.", f"The {last} is {other} the {middle}."]
    # The sum of both steps says where the first lies from the last.
    gap = tuple(a - b for a, b in zip(_LIES[one], _LIES[other], strict=True))
    lines: list[Line] = [*texts]
    sure = [word for word, step in _LIES.items() if any(s and g for s, g in zip(step, gap, strict=True))]
    if not sure:  # both lie on the same side: nothing follows of each other
        return does_it_lie_there(draw)
    for _ in range(4):
        word = draw.one(sure)
        turned = draw.below(2)
        sign = -1 if turned else 1
        yes = sum(s * g for s, g in zip(_LIES[word], gap, strict=True)) * sign > 0
        asked = (last, first) if turned else (first, last)
        lines.append(Ask(f"Is the {asked[0]} {word} the {asked[1]}?", "yes" if yes else "no", (0, 1)))
    return lines


def does_it_fit(draw: Draw) -> list[Line]:
    """Kind 18: things that fit into each other in a chain; a question is about any two of them."""
    chain = draw.some(_BOXES, 5)  # from the smallest on
    facts = [(place, place + 1) for place in range(4)]
    facts += [tuple(sorted(draw.some(range(5), 2))) for _ in range(2)]
    facts = draw.some(facts, len(facts))
    lines = list[Line]()
    for small, large in facts:
        lines.append(
            f"The {chain[small]} fits inside the {chain[large]}."
            if draw.below(2)
            else f"The {chain[large]} is bigger than the {chain[small]}."
        )
    for _ in range(4):
        small, large = sorted(draw.some(range(5), 2))
        support = tuple(sorted(facts.index((place, place + 1)) for place in range(small, large)))
        yes = draw.below(2)
        one, other = (chain[small], chain[large]) if yes else (chain[large], chain[small])
        asked = f"Does the {one} fit in the {other}?" if draw.below(2) else f"Is the {other} bigger than the {one}?"
        lines.append(Ask(asked, "yes" if yes else "no", support))
    return lines


def how_does_one_go(draw: Draw) -> list[Line]:
    """Kind 19: five sentences place six rooms on a grid, and the way from one to another has two steps."""
    rooms = draw.some((*people.PLACES, "cellar"), 6)
    at: dict[tuple[int, int], str] = {(0, 0): rooms[0]}
    facts: list[tuple[str, str, str]] = []
    for room in rooms[1:]:
        place = draw.one(list(at))
        free = [way for way, (x, y) in _MOVES.items() if (place[0] + x, place[1] + y) not in at]
        while not free:
            place = draw.one(list(at))
            free = [way for way, (x, y) in _MOVES.items() if (place[0] + x, place[1] + y) not in at]
        way = draw.one(free)
        at[place[0] + _MOVES[way][0], place[1] + _MOVES[way][1]] = room
        facts.append((room, way, at[place]))
    facts = draw.some(facts, len(facts))
    found = [path for start in rooms for path in _two_steps(facts, start)]
    start, end, ways, support = draw.one(found)
    lines: list[Line] = [
        f"The {room} is {way} of the {other}." if draw.below(2) else f"The {other} is {_BACK[way]} of the {room}."
        for room, way, other in facts
    ]
    answer = ",".join(way[0] for way in ways)
    return [*lines, Ask(f"How do you go from the {start} to the {end}?", answer, support)]


def _two_steps(
    facts: list[tuple[str, str, str]], start: str
) -> list[tuple[str, str, tuple[str, str], tuple[int, ...]]]:
    """All ways of two told steps from a room to another one."""
    doors: dict[str, list[tuple[str, str, int]]] = {}
    for number, (room, way, other) in enumerate(facts):
        doors.setdefault(other, []).append((way, room, number))
        doors.setdefault(room, []).append((_BACK[way], other, number))
    return [
        (start, end, (first, second), tuple(sorted((one, two))))
        for first, middle, one in doors.get(start, [])
        for second, end, two in doors.get(middle, [])
        if end != start
    ]


WORLDS: Mapping[int, tuple[str, World]] = {
    1: ("one supporting fact", people.where_is_someone),
    2: ("two supporting facts", people.where_is_something),
    3: ("three supporting facts", people.where_was_something),
    4: ("relations of two", what_is_north),
    5: ("relations of three", people.who_gave_what),
    6: ("yes or no", people.is_someone_there),
    7: ("counting", people.how_many_things),
    8: ("lists", people.which_things),
    9: ("negation", people.is_someone_no_longer_there),
    10: ("maybe", people.may_someone_be_there),
    11: ("pronouns", people.where_is_he),
    12: ("conjunction", people.where_are_both),
    13: ("pronouns for two", people.where_are_they),
    14: ("times of day", people.where_was_someone_before),
    15: ("deduction", what_is_it_afraid_of),
    16: ("induction", what_colour_is_it),
    17: ("positions", does_it_lie_there),
    18: ("sizes", does_it_fit),
    19: ("ways", how_does_one_go),
    20: ("motives", people.why_did_someone),
}
"""Of each kind of question, by its published number, what it asks for, and a world that asks it."""
