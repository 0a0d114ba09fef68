#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nexmark's queries over a file of events, as docs/reference/nexmark.md says them: all in memory, one plain loop each.

    oracle.py QUERY EVENTS.csv [RATE]     final rows in canonical form

Nothing here knows how Weir computes. Text is read as Latin-1, a character for each byte, and written so: bytes stay what they are.
RATE (10000) is of the arrival clock, for q12 alone.
"""
import csv
import sys
from collections import defaultdict, namedtuple
from datetime import datetime, timedelta

PERSON = "seq id name emailAddress creditCard city state dateTime extra"
AUCTION = "seq id itemName description initialBid reserve dateTime expires seller category extra"
BID = "seq auction bidder price channel url dateTime extra"
NUMBERS = set("seq id initialBid reserve dateTime expires seller category auction bidder price".split())

Person = namedtuple("Person", PERSON + " position")
Auction = namedtuple("Auction", AUCTION + " position")
Bid = namedtuple("Bid", BID + " position")
KINDS = {"P": Person, "A": Auction, "B": Bid}

BASE_MS = 1700006392863
RATE = 10000


class Events:
    """Persons, auctions and bids, in order of arrival. `rate` is the arrival clock's."""

    def __init__(self, events, rate=RATE):
        self.persons = [e for e in events if isinstance(e, Person)]
        self.auctions = [e for e in events if isinstance(e, Auction)]
        self.bids = [e for e in events if isinstance(e, Bid)]
        self.rate = rate


def read_csv(path):
    csv.field_size_limit(1 << 20)
    with open(path, encoding="latin-1", newline="") as lines:
        return [read_event(position, fields) for position, fields in enumerate(csv.reader(lines, strict=True))]


def read_event(position, fields):
    kind = KINDS[fields[0]]
    values = zip(kind._fields, fields[1:], strict=False)
    return kind(*[int(text) if name in NUMBERS else text for name, text in values], position)


# ---- what several queries use ----


def tumble(t, size_ms=10000):
    return t - t % size_ms


def clock(t):
    return datetime(1970, 1, 1) + timedelta(milliseconds=t)


def day(t):
    return f"{clock(t):%Y-%m-%d}".rjust(10, "0")  # %Y does not fill up years below 1000


def minute(t):
    return f"{clock(t):%H:%M}"


def euro(price):
    return f"{price * 908 // 1000}.{price * 908 % 1000:03}"


def rank(price):
    return 1 if price < 10000 else 2 if price < 1000000 else 3


def grouped(items, key):
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def winners(ev):
    """(auction, its winning bid) of all auctions that have one."""
    bids = grouped(ev.bids, lambda b: b.auction)
    for a in ev.auctions:
        valid = [b for b in bids.get(a.id, []) if a.dateTime <= b.dateTime <= a.expires]
        if valid:
            yield a, min(valid, key=lambda b: (-b.price, b.dateTime, b.seq))


def average(values):
    return sum(values) // len(values)


def short(b):
    return (b.auction, b.bidder, b.price, b.dateTime, b.extra)


def twelve(bids):
    """Bids, distinct bidders, distinct auctions: each in total and by rank."""
    sides = [[(n, b.price) for n, b in enumerate(bids)], [(b.bidder, b.price) for b in bids], [(b.auction, b.price) for b in bids]]
    for side in sides:
        yield len({value for value, _ in side})
        for r in (1, 2, 3):
            yield len({value for value, price in side if rank(price) == r})


# ---- the queries: rows as tuples ----


def q0(ev):
    return [short(b) for b in ev.bids]


def q1(ev):
    return [(b.auction, b.bidder, euro(b.price), b.dateTime, b.extra) for b in ev.bids]


def q2(ev):
    return [(b.auction, b.price) for b in ev.bids if b.auction % 123 == 0]


def q3(ev):
    persons = {p.id: p for p in ev.persons if p.state in ("OR", "ID", "CA")}
    pairs = [(persons[a.seller], a) for a in ev.auctions if a.category == 10 and a.seller in persons]
    return [(p.name, p.city, p.state, a.id) for p, a in pairs]


def q4(ev):
    prices = defaultdict(list)
    for a, b in winners(ev):
        prices[a.category].append(b.price)
    return [(category, average(p)) for category, p in prices.items()]


def q5(ev):
    windows = defaultdict(lambda: defaultdict(int))
    for b in ev.bids:
        for back in range(0, 10000, 2000):
            windows[tumble(b.dateTime, 2000) - back][b.auction] += 1
    return [(a, n, start) for start, counts in windows.items() for a, n in counts.items() if n == max(counts.values())]


def q6(ev):
    rows = []
    for seller, won in grouped(winners(ev), lambda w: w[0].seller).items():
        won.sort(key=lambda w: (w[0].expires, w[0].id))
        for i, (a, _) in enumerate(won):
            rows.append((seller, a.id, average([b.price for _, b in won[max(i - 9, 0) : i + 1]])))
    return rows


def q7(ev):
    rows = []
    for bids in grouped(ev.bids, lambda b: tumble(b.dateTime)).values():
        highest = max(b.price for b in bids)
        rows += [short(b) for b in bids if b.price == highest]
    return rows


def q8(ev):
    sold = {(a.seller, tumble(a.dateTime)) for a in ev.auctions}
    return [(p.id, p.name, tumble(p.dateTime)) for p in ev.persons if (p.id, tumble(p.dateTime)) in sold]


def q9(ev):
    return [
        (a.id, a.itemName, a.description, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller, a.category, a.extra)
        + (b.auction, b.bidder, b.price, b.dateTime, b.extra)
        for a, b in winners(ev)
    ]


def q10(ev):
    return [short(b) + (day(b.dateTime), minute(b.dateTime)) for b in ev.bids]


def q11(ev):
    rows = []
    for bidder, bids in grouped(ev.bids, lambda b: b.bidder).items():
        times = sorted(b.dateTime for b in bids)
        first, n = times[0], 0
        for t, following in zip(times, times[1:] + [None], strict=True):
            n += 1
            if following is None or following - t > 10000:
                rows.append((bidder, n, first, t + 10000))
                first, n = following, 0
    return rows


def q12(ev):
    counts = defaultdict(int)
    for b in ev.bids:
        counts[b.bidder, tumble(BASE_MS + b.position * 1000 // ev.rate)] += 1
    return [(bidder, n, start, start + 10000) for (bidder, start), n in counts.items()]


def q13(ev):
    return [(b.auction, b.bidder, b.price, b.dateTime, f"side-{b.auction % 10000 * 7919 % 10007}") for b in ev.bids]


def q14(ev):
    def kind(t):
        hour = clock(t).hour
        return "dayTime" if 8 <= hour <= 18 else "nightTime" if hour <= 6 or hour >= 20 else "otherTime"

    chosen = [b for b in ev.bids if 1000000 * 1000 < 908 * b.price < 50000000 * 1000]
    return [(b.auction, b.bidder, euro(b.price), kind(b.dateTime), b.dateTime, b.extra, b.extra.count("c")) for b in chosen]


def q15(ev):
    return [(d, *twelve(bids)) for d, bids in grouped(ev.bids, lambda b: day(b.dateTime)).items()]


def q16(ev):
    groups = grouped(ev.bids, lambda b: (b.channel, day(b.dateTime)))
    return [(channel, d, max(minute(b.dateTime) for b in bids), *twelve(bids)) for (channel, d), bids in groups.items()]


def q17(ev):
    rows = []
    for (auction, d), bids in grouped(ev.bids, lambda b: (b.auction, day(b.dateTime))).items():
        prices = [b.price for b in bids]
        ranks = [sum(rank(p) == r for p in prices) for r in (1, 2, 3)]
        rows.append((auction, d, len(prices), *ranks, min(prices), max(prices), average(prices), sum(prices)))
    return rows


def with_channel(b):
    return (b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra)


def q18(ev):
    groups = grouped(ev.bids, lambda b: (b.bidder, b.auction))
    return [with_channel(max(bids, key=lambda b: (b.dateTime, b.seq))) for bids in groups.values()]


def q19(ev):
    rows = []
    for bids in grouped(ev.bids, lambda b: b.auction).values():
        bids.sort(key=lambda b: (-b.price, b.dateTime, b.seq))
        rows += [with_channel(b) + (i + 1,) for i, b in enumerate(bids[:10])]
    return rows


def q20(ev):
    auctions = {a.id: a for a in ev.auctions if a.category == 10}
    pairs = [(b, auctions[b.auction]) for b in ev.bids if b.auction in auctions]
    return [
        with_channel(b) + (a.itemName, a.description, a.initialBid, a.reserve, a.dateTime, a.expires, a.seller, a.category, a.extra)
        for b, a in pairs
    ]


def q21(ev):
    known = {"apple": "0", "google": "1", "facebook": "2", "baidu": "3"}

    def channel_id(b):
        if b.channel.lower() in known:
            return known[b.channel.lower()]
        return next((part[len("channel_id=") :] for part in b.url.split("&") if part.startswith("channel_id=")), None)

    return [(b.auction, b.bidder, b.price, b.channel, channel_id(b)) for b in ev.bids if channel_id(b) is not None]


def q22(ev):
    return [(b.auction, b.bidder, b.price, b.channel, *(b.url.split("/") + [""] * 6)[3:6]) for b in ev.bids]


QUERIES = {f"q{i}": globals()[f"q{i}"] for i in range(23)}

# ---- text ----


def quote(text):
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def row_text(row):
    return (",".join(quote(str(value)) for value in row) + "\n").encode("latin-1")


def canonical(query, events):
    """The sorted rows, as bytes."""
    return sorted(row_text(row) for row in QUERIES[query](events))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in QUERIES:
        sys.exit(__doc__)
    found = Events(read_csv(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else RATE)
    sys.stdout.buffer.writelines(canonical(sys.argv[1], found))
