"""The words of the generated dialogues: what two people say, and what came of it.

What is said is a lead, a core and a tail. Only the core matters. The tail may name a day, a task or
a thing that nobody agreed on.
"""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TASKS = (
    "water the plants", "feed the cat", "walk the dog", "clean the windows", "paint the door",
    "fix the radio", "wash the car", "carry the boxes", "post the letter", "book the tickets",
    "buy the bread", "bake the cake", "cut the grass", "call the doctor", "sweep the stairs",
    "print the photos",
)  # fmt: skip
PLANS = (
    "play chess", "go swimming", "cook dinner", "visit the museum", "watch a film", "have lunch",
    "ride horses", "study maths", "climb the hill", "sing songs", "drink tea", "see the castle",
)  # fmt: skip
THINGS = (
    "ladder", "tent", "guitar", "camera", "bicycle", "hammer", "suitcase", "umbrella", "map",
    "lamp", "drill", "kettle",
)  # fmt: skip

LEADS = ("", "listen,", "well,", "you know,", "let me think.", "{other},")
TAILS = (
    "", "I was away on {other_day}.", "My sister has to {other_task}.",
    "My brother has a new {other_thing}.", "It is late.",
)  # fmt: skip

CORES = {
    "greet": (
        "hello, how are you?", "good morning.", "it is good to see you.", "do you have a minute?",
        "good to meet you here.",
    ),
    "task": (
        "could you {task} on {day}?", "would you be so kind as to {task} on {day}?",
        "can I ask you to {task} on {day}?", "will you {task} for me on {day}?",
        "I need somebody to {task} on {day}, could it be you?",
    ),
    "plan": (
        "shall we {plan} on {day}?", "would you like to {plan} with me on {day}?",
        "do you want to {plan} with me on {day}?", "let us {plan} together on {day}.",
        "can we {plan} together on {day}?",
    ),
    "borrow": (
        "could you lend me your {thing} on {day}?", "can I have your {thing} on {day}?",
        "may I borrow your {thing} on {day}?", "would you lend me your {thing} on {day}?",
        "I need your {thing} on {day}, is that possible?",
    ),
    "offer": (
        "I could lend you my {thing} on {day}.", "you can have my {thing} on {day}.",
        "do you want to borrow my {thing} on {day}?", "would you like to have my {thing} on {day}?",
        "do you need my {thing} on {day}?",
    ),
    "correct": (
        "sorry, not {old} but {day}.", "no, wait, I mean {day}.", "{old} is wrong, I mean {day}.",
        "I was wrong, {day} is better.", "no, {day} is better than {old}.",
    ),
    "counter": (
        "{old} is bad for me, what about {day}?", "not {old}, but maybe {day}?",
        "is {day} possible? {old} is not.", "could it be {day} and not {old}?",
        "can we say {day}? {old} is hard for me.",
    ),
    "consent": (
        "{day} is fine too.", "yes, {day} is possible.", "then we say {day}.", "yes, that is fine.",
        "that is even better.",
    ),
    "insist": (
        "no, it has to be {day}.", "sorry, only {day} is possible.", "no, it must be {day}.",
        "I can only say {day}.", "it is {day} or not at all.",
    ),
    "accept": (
        "yes, of course.", "that is fine with me.", "I say yes.", "all right, you have my word.",
        "yes, you can count on me.",
    ),
    "decline": (
        "no, not this time.", "that is not possible, sorry.", "I say no.", "I am afraid not.",
        "no, you can not count on me.",
    ),
}  # fmt: skip
"""By act, at least as many cores as there are `MARKS` of templates."""

GISTS = {
    ("task", True): "{answerer} will {task} for {asker} on {day}.",
    ("task", False): "{answerer} will not {task} for {asker} on {day}.",
    ("plan", True): "{asker} and {answerer} will {plan} on {day}.",
    ("plan", False): "{answerer} will not {plan} with {asker} on {day}.",
    ("borrow", True): "{answerer} will lend {asker} the {thing} on {day}.",
    ("borrow", False): "{answerer} will not lend {asker} the {thing} on {day}.",
    ("offer", True): "{asker} will lend {answerer} the {thing} on {day}.",
    ("offer", False): "{answerer} will not borrow the {thing} of {asker} on {day}.",
}
"""By what was asked and whether it was agreed, what to remember."""
