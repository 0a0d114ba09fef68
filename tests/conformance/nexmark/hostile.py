# SPDX-License-Identifier: Apache-2.0
"""Files of events as no generator makes them: whatever section 7 of docs/reference/nexmark.md allows, drawn from a seed."""
import json

from oracle import AUCTION, BID, NUMBERS, PERSON, Auction, Bid, Person

MOST = 2**63 - 1
LAST_MS = 253402300799999  # of the year 9999: days have ten characters
LEAP_DAY_MS = 951782400000  # 2000-02-29
HOUR_MS = 3600000
PRICE_MOST = MOST // 908  # beyond it a price in euro leaves 63 bits
SUM_MOST = 1000  # so many prices may be added up (q17)

KIND_LETTERS = {Person: "P", Auction: "A", Bid: "B"}
FIELDS = {Person: PERSON.split(), Auction: AUCTION.split(), Bid: BID.split()}

TEXTS = ["", " ", "  both ends ", ",", '"', '""', '","', '"quoted"', 'a"b', "\n", "\r", "\r\n", "a\nb,c\r\n", "\nB,1,2,3", "\\", "\\n", '\\"']
TEXTS += ["\t", "".join(map(chr, range(1, 32))), "\x7f", "\x00", "a\x00b", "é", "Grüße, Welt", "\u20ac", "\U0001f600", "\u2028", "\ufeff", "+", "-"]
TEXTS += ["null", "0", "ccc", "C", "xcxcx", "'", "`", ";", "{}", "]", "OR", "c" * 300, "ü" * 2000]
LONG = ["c," * 20000, 'x"\n' * 15000]  # a row does not fit into a frame

CHANNELS = ["Apple", "apple", "APPLE", "aPpLe", "GOOGLE", "Facebook", "faceBOOK", "baidu", "Baidu", "apple ", " google", "baid", "baidus", ""]
CHANNELS += ["channel-1", "channel-2", "faceboo\u212a", "a,b", '"Apple"', "bai\ndu", "@pple", "2023-11-14"]

URLS = ["", "/", "//", "///", "////", "/////", "a", "a/b", "a/b/c", "a/b/c/d", "https://h/x/y/z/w/v", "https://h", "https://h/", "https://h//y"]
URLS += ["channel_id=", "channel_id=5", "channel_id=5&x=1", "channel_id", "xchannel_id=9", "?channel_id=9", "&channel_id=&channel_id=2", "&&"]
URLS += ["a&channel_id=7", "a&channel_id=7&", "a&Channel_id=3", "a&xchannel_id=1&channel_id=2&channel_id=3", "https://h/a/b,c/d\"e?q&channel_id=1,2"]
URLS += ["a&channel_id=4/5/6/7", "/&channel_id=é\n", "channel_id=channel_id=1", "&channel_id"]

STATES = ["OR", "ID", "CA", "AZ", "or", "ORR", "O", "", "OR ", "\u00d6R"]


class World:
    """Draws events. `rng`: all that is random; `huge`: prices up to 2^63 - 1."""

    def __init__(self, rng, huge=False):
        self.rng, self.huge = rng, huge
        turn = LEAP_DAY_MS + rng.choice([0, 7, 8, 19, 20]) * HOUR_MS  # where q14's words for the hour change
        self.start = rng.choice([0, 9999, 1699999990000, 1700006392863, turn, turn - 20000])
        self.span = rng.choice([1, 20, 5000, 60000, 300000, 30 * HOUR_MS])
        if rng.random() < 0.1:
            self.start = LAST_MS - self.span
        n = rng.choice([0, 1, 2, 5, 50, 300, SUM_MOST])
        self.ids = self.unique(n // 8 + 2, small=n)
        self.people = self.unique(n // 10 + 2, small=n)
        self.seqs = self.unique(n, small=2 * n)
        rng.shuffle(self.ids), rng.shuffle(self.people)
        self.events = [self.event(seq) for seq in self.seqs]
        if rng.random() < 0.5:
            self.events.sort(key=lambda e: e.dateTime + rng.randrange(self.span))
        self.events = [e._replace(position=i) for i, e in enumerate(self.events)]

    def unique(self, n, small):
        """n different numbers, most of them small, some at the end of the range."""
        few = {self.rng.choice([MOST - i, 2**32 + i, 123 * i, 10000 * i]) for i in range(n // 4)}
        few |= set(self.rng.sample(range(small + 2 * n), n))
        few = sorted(few)
        self.rng.shuffle(few)
        return few[:n]

    def event(self, seq):
        kind = self.rng.random()
        if kind < 0.1 and self.people:
            return self.person(seq)
        return self.auction(seq) if kind < 0.25 and self.ids else self.bid(seq)

    def person(self, seq):
        texts = [self.text() for _ in range(4)]
        return Person(seq, self.people.pop(), *texts, self.rng.choice(STATES), self.time(), self.text(), 0)

    def auction(self, seq):
        begin, r = self.time(), self.rng
        expires = r.choice([begin, begin + 1, begin + r.randrange(self.span + 1), max(begin - 1, 0), 0, MOST, begin + 10000])
        money = [self.price(), self.price()]
        return Auction(seq, self.ids.pop(), self.text(), self.text(), *money, begin, expires, self.who(), r.choice([0, 10, 10, 11, MOST]), self.text(), 0)

    def bid(self, seq):
        r = self.rng
        channel = r.choice(CHANNELS) if r.random() < 0.8 else self.text()
        url = r.choice(URLS) if r.random() < 0.9 else self.text()
        return Bid(seq, self.what(), self.who(), self.price(), channel, url, self.time(), self.text(), 0)

    def who(self):
        """Persons that have come, that will come, and others."""
        return self.rng.choice([0, 1, 2, 3, MOST, *self.people[:5]])

    def what(self):
        return self.rng.choice([0, 1, 123, 10000, MOST, *self.ids[:5]]) if self.rng.random() < 0.9 else self.rng.randrange(MOST)

    def time(self):
        t = self.start + self.rng.randrange(self.span)
        return self.rng.choice([t, t, t, t - t % 1000, t - t % HOUR_MS, t - t % 2000, t - t % 10000, t - t % 86400000 + 86399999, self.start])

    def price(self):
        r = self.rng
        edges = [0, 1, 9999, 10000, 999999, 1000000, 1101321, 1101322, 55066079, 55066080]
        most = MOST if self.huge else PRICE_MOST
        return r.choice([r.choice(edges), r.choice(edges), r.randrange(100, 10**8), r.randrange(10**6, 6 * 10**7), 700, most, most - 1, r.randrange(most)])

    def text(self):
        return self.rng.choice(LONG) if self.rng.random() < 0.003 else self.rng.choice(TEXTS)


def lag_of(events):
    """The shortest with which nothing is late."""
    lag, highest = 0, 0
    for e in events:
        highest = max(highest, e.dateTime)
        lag = max(lag, highest - e.dateTime)
    return lag


def as_bytes(event):
    """As the oracle reads it: a character for each byte."""
    return event._make(v.encode().decode("latin-1") if isinstance(v, str) else v for v in event)


# ---- text ----


def csv_field(rng, value):
    text = str(value)
    needed = any(c in text for c in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if needed or rng.random() < 0.02 else text


def csv_line(rng, event):
    fields = [KIND_LETTERS[type(event)]] + [csv_field(rng, v) for v in event[:-1]]
    return ",".join(fields).encode()


def escape(text):
    return "".join("\\" + c if c in '"\\' else f"\\u{ord(c):04x}" if c < " " else c for c in text)


def json_line(rng, event):
    """As section 7 has it, and at times as others write the same."""
    keys = {"type": KIND_LETTERS[type(event)]} | dict(zip(FIELDS[type(event)], event, strict=False))
    if rng.random() < 0.7:
        return ("{" + ",".join(f'"{k}":{v}' if k in NUMBERS else f'"{k}":"{escape(v)}"' for k, v in keys.items()) + "}").encode()
    pairs = list(keys.items())
    rng.shuffle(pairs)
    return json.dumps(dict(pairs), ensure_ascii=rng.random() < 0.5).encode()


LINE_OF = {"csv": csv_line, "json": json_line}

BAD = {
    "csv": [b"", b"B", b"X,1,2", b"b,1,2,3,4,c,u,5,e", b"B,1,2,3,4,c,u,5", b"B,1,2,3,4,c,u,5,e,", b"B,-1,2,3,4,c,u,5,e", b"B,,2,3,4,c,u,5,e"]
    + [b"B,9223372036854775808,2,3,4,c,u,5,e", b"B,1,2,3,4x,c,u,5,e", b"B,1, 2,3,4,c,u,5,e", b'B,1,2,3,4,c"c,u,5,e', b'B,1,2,3,4,"c"c,u,5,e']
    + [b"P,1,2,n,m,c,c,s,x,e", b"A,1,2,i,d,3,4,5,6,7,8", b"B,1,2,3,1.0,c,u,5,e", b"B,1,2,3,1e3,c,u,5,e", b"\xff", b"\x00"],
    "json": [b"", b"{", b"{}", b"[]", b"null", b'{"type":"B"}', b'{"type":"X"}', b'{"type":1}', b"x"]
    + [b'{"type":"B","seq":%s,"auction":2,"bidder":3,"price":4,"channel":"c","url":"u","dateTime":5,"extra":"e"%s' % bad for bad in
       [(b"-1", b"}"), (b"1.0", b"}"), (b"9223372036854775808", b"}"), (b'"1"', b"}"), (b"null", b"}"), (b"1", b""), (b"1", b"}}"), (b"1", b',"seq":1}')]
       + [(b"1", b',"more":1}'), (b"1,", b"}"), (b"01", b"}"), (b"1", b',"type":"B"}')]]
    + [b'{"type":"B","seq":1,"auction":2,"bidder":3,"price":4,"channel":"\\ud800","url":"u","dateTime":5,"extra":"e"}'],
}  # fmt: skip


class File:
    """Events as text. With `bad`, malformed lines lie among them; `dead`: their (position, line, text)."""

    def __init__(self, rng, events, form, bad=False):
        end = rng.choice([b"\n", b"\r\n"])
        self.text, self.dead, self.events = b"", [], []
        line = 0
        for e in events:
            while bad and rng.random() < 0.1:
                refused = rng.choice(BAD[form])
                self.dead.append((len(self.text), line, refused))
                self.text += refused + end
                line += 1
            self.events.append(as_bytes(e)._replace(position=line))
            self.text += LINE_OF[form](rng, e) + end
            line += 1
        if self.text and rng.random() < 0.3:
            self.text = self.text[: -len(end)]
