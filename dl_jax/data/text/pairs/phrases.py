"""The words of the generated dialogues: what two people say, and what came of it.

What is said is a lead, a core and a tail. Only the core matters. The tail may name a day, a task or
a thing that nobody agreed on. In a core, `first` is the day that who asks names first, and `second`
is another one.
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
        "could you {task} on {first}?", "would you be so kind as to {task} on {first}?",
        "can I ask you to {task} on {first}?", "will you {task} for me on {first}?",
        "I need somebody to {task} on {first}, could it be you?",
    ),
    "plan": (
        "shall we {plan} on {first}?", "would you like to {plan} with me on {first}?",
        "do you want to {plan} with me on {first}?", "let us {plan} together on {first}.",
        "can we {plan} together on {first}?",
    ),
    "borrow": (
        "could you lend me your {thing} on {first}?", "can I have your {thing} on {first}?",
        "may I borrow your {thing} on {first}?", "would you lend me your {thing} on {first}?",
        "I need your {thing} on {first}, is that possible?",
    ),
    "offer": (
        "I could lend you my {thing} on {first}.", "you can have my {thing} on {first}.",
        "do you want to borrow my {thing} on {first}?",
        "would you like to have my {thing} on {first}?", "do you need my {thing} on {first}?",
    ),
    "correct": (
        "sorry, not {first} but {second}.", "no, wait, I mean {second}.",
        "{first} is wrong, I mean {second}.", "I was wrong, {second} is better.",
        "no, {second} is better than {first}.",
    ),
    "counter": (
        "{first} is bad for me, what about {second}?", "not {first}, but maybe {second}?",
        "is {second} possible? {first} is not.", "could it be {second} and not {first}?",
        "can we say {second}? {first} is hard for me.",
    ),
    "consent": (
        "{second} is fine too.", "yes, {second} is possible.", "then we say {second}.",
        "yes, that is fine.", "that is even better.",
    ),
    "insist": (
        "no, it has to be {first}.", "sorry, only {first} is possible.", "no, it must be {first}.",
        "I can only say {first}.", "it is {first} or not at all.",
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
    ("task", True): "{answerer} will {task} for {asker} on {final}.",
    ("task", False): "{answerer} will not {task} for {asker} on {final}.",
    ("plan", True): "{asker} and {answerer} will {plan} on {final}.",
    ("plan", False): "{answerer} will not {plan} with {asker} on {final}.",
    ("borrow", True): "{answerer} will lend {asker} the {thing} on {final}.",
    ("borrow", False): "{answerer} will not lend {asker} the {thing} on {final}.",
    ("offer", True): "{asker} will lend {answerer} the {thing} on {final}.",
    ("offer", False): "{answerer} will not borrow the {thing} of {asker} on {final}.",
}
"""By what was asked and whether it was agreed, what to remember."""
