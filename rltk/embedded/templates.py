"""The sentences and the vocabulary that `rltk.embedded.word_problems` composes; literal tables, nothing else.

A step table is keyed by (state before, operator, state after). The states say what the running quantity counts:
`own` a person's things, `money` a person's dollars, `place` the things at a place, `pack` the things in any pack of
one sort, `box` and `friend` the things in each box or with each friend after an equal split, `day` the things of one
day. The state after `other` means: the same as `own` (or `money`), but of a second person.

Slots. `{n}` is the operand, `{times}` reads "twice" or "3 times", `{part}` reads "half" or "a quarter"; the slots of
`FIXED` are words that fix the operand. `{who}` is the person as a name or a pronoun, `{other}` a person not met yet.
`{name_now}` and `{has}` read "Mia" and "has" in the first step, "Mia has now" and "now has" after it, so that a
comparison has one reading.
"""
# ruff: noqa: SIM905  (word lists as one string: 45 quoted words would fill a screen)

FIXED = {
    "dozen": ("a dozen", 12),
    "doubles": ("doubles", 2),
    "triples": ("triples", 3),
    "half": ("half", 2),
}
NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth"}

OPENINGS = {
    "own": {
        "has": "{name} has {n} {things}.",
        "buys": "{name} buys {n} {things} at the {shop}.",
        "finds": "While cleaning the house, {name} finds {n} {things}.",
        "birthday": "For {his} birthday, {name} gets {n} {things}.",
        "left": "{name} has {n} {things} left over from last week.",
        "fair": "{name} wins {n} {things} at the school fair.",
        "week": "{name} starts the week with {n} {things}.",
        "school": "{name} brings {n} {things} to school.",
        "cupboard": "There are {n} {things} in {name}'s cupboard.",
    },
    "place": {
        "has": "The {place} has {n} {things}.",
        "opens": "The {place} opens in the morning with {n} {things}.",
        "counts": "A helper counts {n} {things} at the {place}.",
    },
    "pack": {
        "holds": "Each {box} holds {n} {things}.",
        "shop": "The {shop} sells {things} in {boxes} of {n}.",
        "every": "There are {n} {things} in every {box}.",
    },
    "day": {
        "on": "On {day}, {name} {does} {n} {things}.",
        "start": "{name} {does} {n} {things} on {day}.",
        "plan": "To start the week, {name} {does} {n} {things} on {day}.",
    },
    "money": {
        "bank": "{name} has {n} dollars in {his} piggy bank.",
        "saved": "{name} has saved {n} dollars.",
        "cars": "{name} earns {n} dollars by washing cars and saves them all.",
    },
}

STEPS = {
    ("own", "+", "own"): {
        "buys": "{who} buys {n} more {things}.",
        "finds": "{who} finds {n} more {things} in the kitchen.",
        "gift": "{other} gives {name} {n} more {things}.",
        "aunt": "An aunt sends {name} another {n} {things}.",
        "dozen": "{who} gets {dozen} more {things} at the {shop}.",
        "game": "{who} wins {n} more {things} in a game.",
        "helps": "{who} helps {other} in the garden and gets {n} {things} as a thank-you.",
    },
    ("own", "+", "other"): {
        "more": "{other} has {n} more {things} than {name_now}.",
        "fewer": "{who} {has} {n} fewer {things} than {other}.",
    },
    ("own", "-", "own"): {
        "gives": "{who} gives {n} of {his} {things} to {other}.",
        "loses": "{who} loses {n} of {his} {things} on the way home.",
        "sells": "{who} sells {n} of {his} {things}.",
        "swaps": "{who} swaps {n} of {his} {things} for a kite.",
        "dozen": "{who} gives {dozen} of {his} {things} to {other}.",
        "donates": "{who} donates {n} of {his} {things} to the school fair.",
    },
    ("own", "-", "other"): {
        "fewer": "{other} has {n} fewer {things} than {name_now}.",
        "more": "{who} {has} {n} more {things} than {other}.",
        "needs": "{other} needs {n} more {things} to have as many as {name_now}.",
    },
    ("own", "*", "own"): {
        "doubles": "By trading, {name} {doubles} the number of {things} {he} has.",
        "triples": "Within a month, {name} {triples} the number of {things} {he} has.",
        "month": "By the end of the month, {name} has {times} as many {things} as before.",
        "until": "{who} gets more and more until {he} has {times} as many {things} as before.",
        "enough": "{other} gives {name} enough {things} to have {times} as many as before.",
    },
    ("own", "*", "other"): {
        "times": "{other} has {times} as many {things} as {name_now}.",
        "part": "{who} {has} only {part} as many {things} as {other}.",
    },
    ("own", "*", "money"): {
        "sells": "{who} sells all of {his} {things} for {n} dollars each.",
        "buyer": "{other} buys all of {name}'s {things} and pays {n} dollars for each of them.",
    },
    ("own", "/", "own"): {
        "half": "{who} gives {half} of {his} {things} to {other}.",
        "sale": "{who} sells {half} of {his} {things} at a yard sale.",
        "piles": "{who} sorts all of {his} {things} into {n} equal piles and keeps just a single pile.",
        "keeps": "{who} keeps only {part} of {his} {things} and gives the rest away.",
    },
    ("own", "/", "other"): {
        "part": "{other} has only {part} as many {things} as {name_now}.",
        "times": "{who} {has} {times} as many {things} as {other}.",
    },
    ("own", "/", "box"): {
        "packs": "{who} packs all of {his} {things} into {n} {boxes}, with the same number in each {box}.",
        "fills": "{who} uses all of {his} {things} to fill {n} {boxes} equally.",
    },
    ("own", "/", "friend"): {
        "shares": "{who} shares all of {his} {things} equally among {n} {friends}.",
        "hands": "{who} hands out all of {his} {things} to {n} {friends}, and each of them gets the same number.",
    },
    ("friend", "+", "friend"): {
        "teacher": "A teacher then gives each {friend} {n} more {things}.",
        "buys": "Next, each {friend} buys {n} more {things}.",
    },
    ("friend", "+", "other"): {
        "buys": "{other}, who is one of the {friends}, then buys {n} more {things}.",
    },
    ("friend", "-", "friend"): {
        "away": "Each {friend} then gives away {n} {things}.",
        "sells": "Each {friend} then sells {n} of the {things}.",
    },
    ("friend", "-", "other"): {
        "loses": "{other}, who is one of the {friends}, then loses {n} {things}.",
    },
    ("friend", "*", "friend"): {
        "soon": "Soon each {friend} has {times} as many {things} as before.",
        "triples": "Within a week, each {friend} {triples} this number of {things}.",
    },
    ("friend", "*", "other"): {
        "times": "{other} is not one of them but has {times} as many {things} as each {friend}.",
    },
    ("friend", "/", "friend"): {
        "half": "Each {friend} then gives away {half} of the {things}.",
        "keeps": "Each {friend} keeps only {part} of the {things} and gives the rest back.",
    },
    ("friend", "/", "other"): {
        "keeps": "{other}, who is one of the {friends}, keeps only {part} of the {things} and gives the rest away.",
    },
    ("box", "+", "box"): {
        "added": "Then {n} more {things} are added to each {box}.",
        "dozen": "After that, {dozen} more {things} go into each {box}.",
    },
    ("box", "+", "other"): {
        "more": "{other} has {n} more {things} than there are in each {box}.",
    },
    ("box", "-", "box"): {
        "taken": "Then {n} {things} are taken out of each {box}.",
        "damaged": "In each {box}, {n} of the {things} turn out to be damaged and are thrown away.",
    },
    ("box", "-", "other"): {
        "empties": "{other} gets one of the {boxes} and sells {n} of the {things} in it.",
    },
    ("box", "*", "box"): {
        "refill": "Each {box} is then refilled until it holds {times} as many {things} as before.",
        "stuffed": "More {things} are put into each {box}, so that each holds {times} as many as before.",
    },
    ("box", "*", "other"): {
        "times": "{other} has {times} as many {things} as there are in each {box}.",
    },
    ("box", "/", "box"): {
        "half": "Then {half} of the {things} in each {box} are taken out.",
        "left": "After a sale, only {part} of the {things} in each {box} are left.",
    },
    ("box", "/", "friend"): {
        "shares": "{other} takes one of the {boxes} and shares all of its {things} equally among {n} {friends}.",
    },
    ("pack", "+", "own"): {
        "loose": "{name} buys a single {box} and {n} loose {things}.",
        "more": "{name} has {n} more {things} than a full {box} holds.",
    },
    ("pack", "-", "own"): {
        "gives": "{name} buys a single {box} and gives {n} of its {things} to {other}.",
        "fewer": "{name} has {n} fewer {things} than a full {box} holds.",
    },
    ("pack", "*", "own"): {
        "buys": "{name} buys {n} of these {boxes}.",
        "enough": "{name} has enough {things} to fill {n} of these {boxes} exactly.",
    },
    ("pack", "/", "own"): {
        "half": "{name} buys a single {box} and gives {half} of its {things} to {other}.",
    },
    ("pack", "/", "friend"): {
        "opens": "{name} opens a single {box} and shares all of its {things} equally among {n} {friends}.",
        "splits": "The {things} in a single {box} are split equally among {n} {friends}.",
    },
    ("place", "+", "place"): {
        "orders": "The {place} orders {n} more {things}.",
        "family": "A family gives {n} more {things} to the {place}.",
        "truck": "A truck brings {n} more {things} to the {place}.",
    },
    ("place", "-", "place"): {
        "sells": "The {place} sells {n} of its {things}.",
        "sends": "The {place} sends {n} of its {things} to the next town.",
        "visitors": "Visitors to the {place} take home {n} of the {things}.",
    },
    ("place", "*", "place"): {
        "later": "A week later, the {place} has {times} as many {things} as before.",
        "doubles": "A large delivery {doubles} the number of {things} at the {place}.",
    },
    ("place", "*", "money"): {
        "sold": "All of the {things} at the {place} are sold for {n} dollars each, and {name} gets all of the money.",
    },
    ("place", "/", "place"): {
        "keeps": "The {place} keeps only {part} of its {things} and sends the rest to the next town.",
        "half": "In a big sale, the {place} sells {half} of its {things}.",
    },
    ("place", "/", "box"): {
        "packs": "All of the {things} at the {place} are packed into {n} {boxes}, with the same number in each {box}.",
    },
    ("day", "+", "day"): {
        "more": "On {day}, {who} {does} {n} more {things} than on {before}.",
        "beats": "On {day}, {who} beats the number from {before} by {n} {things}.",
        "dozen": "On {day}, {who} {does} {dozen} more {things} than on {before}.",
    },
    ("day", "-", "day"): {
        "fewer": "On {day}, {who} {does} {n} fewer {things} than on {before}.",
        "busy": "On {day}, {who} has less time and {does} {n} fewer {things} than on {before}.",
    },
    ("day", "*", "day"): {
        "times": "On {day}, {who} {does} {times} as many {things} as on {before}.",
        "doubles": "On {day}, {who} {doubles} the number of {things} from {before}.",
        "triples": "On {day}, {who} {triples} the number of {things} from {before}.",
    },
    ("day", "/", "day"): {
        "part": "On {day}, {who} {does} only {part} as many {things} as on {before}.",
        "tired": "On {day}, {who} is tired and {does} just {part} of the number of {things} from {before}.",
    },
    ("money", "+", "money"): {
        "dogs": "{who} earns {n} more dollars by walking dogs.",
        "uncle": "An uncle gives {name} another {n} dollars.",
        "sale": "{who} sells an old bicycle to {other} for {n} dollars.",
    },
    ("money", "+", "other"): {
        "more": "{other} has {n} more dollars than {name_now}.",
    },
    ("money", "-", "money"): {
        "gift": "{who} spends {n} dollars on a gift for {other}.",
        "ticket": "{who} pays {n} dollars for a train ticket.",
        "lends": "{who} lends {n} dollars to {other}.",
    },
    ("money", "-", "other"): {
        "fewer": "{other} has {n} fewer dollars than {name_now}.",
    },
    ("money", "*", "money"): {
        "summer": "By the end of the summer, {name} has {times} as much money as before.",
        "doubles": "By working in a cafe, {name} {doubles} the amount of money {he} has.",
    },
    ("money", "*", "other"): {
        "times": "{other} has {times} as much money as {name_now}.",
    },
    ("money", "/", "money"): {
        "half": "{who} spends {half} of {his} money on presents.",
        "keeps": "{who} keeps only {part} of {his} money and gives the rest to a charity.",
    },
    ("money", "/", "other"): {
        "part": "{other} has only {part} as much money as {name_now}.",
        "times": "{who} {has} {times} as much money as {other}.",
    },
    ("money", "/", "own"): {
        "spends": "{who} spends all of {his} money on {things} that cost {n} dollars each.",
    },
}

FOOD_STEPS = {
    ("own", "-", "own"): {
        "eats": "{who} and {his} friends eat {n} of {his} {things}.",
        "bad": "Sadly, {n} of the {things} go bad, and {name} throws them away.",
    },
    ("own", "+", "own"): {
        "picnic": "{who} brings home {n} more {things} from a picnic.",
    },
    ("own", "/", "own"): {
        "fresh": "Only {part} of the {things} stay fresh, and {name} throws the rest away.",
    },
    ("friend", "-", "friend"): {
        "eats": "Each {friend} then eats {n} {things}.",
    },
    ("box", "-", "box"): {
        "bad": "In each {box}, {n} of the {things} go bad and are thrown away.",
    },
    ("place", "-", "place"): {
        "guests": "Guests at the {place} eat {n} of the {things}.",
    },
}

# Each with the range of its number, which nothing else in the problem uses. The plain ones need no person to be met.
DISTRACTORS = {
    "age": ("{name} is {n} years old.", 6, 15),
    "sister": ("{name} has a sister who is {n} years old.", 2, 20),
    "street": ("{name} lives at number {n} on a quiet street.", 2, 90),
    "walk": ("It takes {name} {n} minutes to walk to school.", 3, 40),
}
PLAIN_DISTRACTORS = {
    "weather": ("It is {n} degrees outside.", 4, 30),
    "radio": ("The radio plays {n} songs in the meantime.", 2, 25),
    "bus": ("A bus with {n} passengers drives past.", 5, 50),
    "clock": ("All of this takes about {n} minutes.", 5, 55),
}

CLOSINGS = {
    "own": {
        "have": "How many {things} does {name} have?",
        "now": "How many {things} does {name} have now?",
        "end": "How many {things} does {name} have in the end?",
        "find": "Find the number of {things} that {name} has now.",
    },
    "place": {
        "now": "How many {things} does the {place} have now?",
        "left": "How many {things} are at the {place} in the end?",
    },
    "box": {
        "each": "How many {things} are in each {box}?",
        "end": "How many {things} does each {box} hold in the end?",
    },
    "friend": {
        "have": "How many {things} does each {friend} have?",
        "end": "How many {things} does each {friend} have in the end?",
    },
    "day": {
        "day": "How many {things} does {name} {do} on {day}?",
        "find": "Find the number of {things} that {name} {does} on {day}.",
    },
    "money": {
        "dollars": "How many dollars does {name} have?",
        "much": "How much money, in dollars, does {name} have now?",
        "end": "How many dollars does {name} have in the end?",
    },
}

HE = ("he", "his")
SHE = ("she", "her")
NAMES = (
    *((name, HE) for name in "Tom Ben Noah Liam Omar Hugo Ravi Leo Max Jack Felix Samir Diego Paul Ivan Kenji".split()),
    *((name, SHE) for name in "Mia Anna Emma Lena Sara Zoe Nora Ruby Ella Maya Chloe Yuki Fatima Clara Rosa".split()),
)

FOODS = (
    "apples pears oranges peaches plums lemons cherries strawberries cookies muffins cupcakes pretzels walnuts carrots "
    "tomatoes candies waffles chocolates"
).split()
GOODS = (
    *"marbles stickers pencils crayons stamps coins beads buttons seashells books notebooks erasers balloons".split(),
    *"postcards badges magnets candles ribbons bracelets markers feathers pebbles".split(),
    *("toy cars", "trading cards", "paper cranes", "wooden blocks", "rubber ducks"),
)
FOOD_PLACES = {
    "farm": ("apples", "pears", "carrots", "tomatoes", "strawberries"),
    "bakery": ("cookies", "muffins", "cupcakes", "pretzels"),
    "cafe": ("cookies", "muffins", "waffles", "chocolates"),
    "school kitchen": ("apples", "oranges", "carrots", "muffins"),
}
GOODS_PLACES = {
    "library": ("books", "postcards", "notebooks"),
    "school": ("pencils", "notebooks", "books", "markers"),
    "toy shop": ("marbles", "toy cars", "balloons", "wooden blocks", "rubber ducks"),
    "museum": ("postcards", "stamps", "coins", "seashells", "books"),
    "art studio": ("crayons", "markers", "beads", "ribbons", "candles"),
}
SHOPS = ("market", "corner shop", "village shop", "supermarket", "street fair")
BOXES = (
    *(("box", "boxes"), ("bag", "bags"), ("basket", "baskets")),
    *(("crate", "crates"), ("tray", "trays"), ("bin", "bins")),
)
FRIENDS = (
    *(("friend", "friends"), ("cousin", "cousins"), ("neighbor", "neighbors"), ("classmate", "classmates")),
    *(("teammate", "teammates"), ("student", "students")),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
FOOD_DAYS = (
    ("sells", "sell", FOODS),
    ("packs", "pack", FOODS),
    ("washes", "wash", FOODS[:8]),
    ("picks", "pick", FOODS[:8]),
)
GOODS_DAYS = (
    ("sells", "sell", GOODS),
    ("counts", "count", GOODS),
    ("reads", "read", ("pages",)),
    ("cycles", "cycle", ("kilometers",)),
    ("paints", "paint", ("pebbles", "badges", "wooden blocks", "postcards")),
    ("makes", "make", ("bracelets", "candles", "paper cranes", "badges")),
)
