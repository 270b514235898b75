"""Texts that the bundled model is calibrated and checked with, all of them written here."""

import random
from collections.abc import Iterable

TEXTS = 160  # made up of sentences and random words
VARIED = ((1, 120), (2, 60), (3, 60), (5, 60), (8, 16), (14, 16))  # of so many sentences so many, some words exchanged


def sentences(text: str) -> list[str]:
    """Split at | and at line ends."""
    return [part.strip() for part in text.replace("\n", "|").split("|")]


# How people and assistants write to each other. What a layer reads of a short exclamation or of marked-up text lies far
# outside of what it reads of plain sentences: without these, such texts were cut off at the range of the others.
SPOKEN = sentences("""Good morning! | ok, cool | Really? | Nope. | hmm... not sure yet | Haha, stop it! | What?
Bye for now! | Well done, you! | I'm so happy for both of you. | Can't wait! | Let's try.
Of course not. | lol | omg so cute | sigh
Cheers, mate! | Never mind, it's solved. | You too! | Same here, to be honest. | That was fun. | Who's there? | Oh no!
Who gave Mina the green umbrella? | When did Oskar begin to learn the cello? | Where does your uncle live now?
Why did they sell the boat? | Which film did she recommend in May? | How often have we spoken about the garden fence?
What did the user say about the rent? | What are the names of Yusuf's cousins? | How long does the warranty last?
Hi Lena! We just came back from the lake, and the kids slept all the way home. How was your week?
It was hard at first, but my friends were there, and by now I feel at home in the new flat.
I took this photo on Sunday. [picture: a lighthouse in the fog] | I've been reading a lot, mostly crime novels. You?
Sure, here is how it works: first, write down what you know. Second, choose a formula. Third, put in the numbers.
There are three ways: 1. Keep a list. 2. Use a dictionary. 3. Write a generator, which needs the least memory.
Of course. Here's a version with types: ```python def area(r: float) -> float: return 3.14159 * r ** 2 ```
## Summary - **Cost**: about $1,200 - **Time**: 3 weeks - **Risk**: low, as far as we know; see below.
The force is \\( F = m \\cdot a \\), so with \\( m = 2 \\) kg and \\( a = 9.81 \\frac{m}{s^2} \\) it is 19.6 N.
You're right, that was a mistake of mine. The slope of x^2 at x = 3 is 6, not 9.
I'd like to go to Norway in April. My budget is 2,500 euros, and I don't like crowds. What would you suggest?
TypeError: unsupported operand type(s) for +: 'int' and 'str' | SELECT name, COUNT(*) FROM orders GROUP BY name;
{"id": 17, "tags": ["a", "b"], "ok": true} | <div class="card"><p>Hello</p></div> | https://example.org/a/b?c=1
C:\\Users\\me\\notes.txt | user@example.org | +49 170 1234567 | v2.3.1 | #running #5k | :-) | <3 | ...
50% off | 3 + 4 = 7 | To be honest, I'd rather stay in tonight; it's been a long week, and I need some sleep!
My doctor told me to eat less salt, so I've started to cook with herbs instead. It's easier than I thought.
Note: the deadline is Friday, 5 pm!!! | P.S. Bring the charger. | Dear all, | Best regards, Martin
Re: invoice 2024-118 | I can't do that for you, but I can explain how it works, draft a letter, or list what to ask.
Their dog, a whippet named Biscuit, died in 2019; they were very sad, but they've got two cats now.
She's pregnant! | He passed away. | We broke up. | I got the job! | They won 3-1. | I hate this. | Pizza, but no olives.
Bonjour, une table pour deux. | Hola, ¿qué tal? | Ich bin müde. | Grazie mille! | Olá, tudo bem? | Привет, как дела?
你好，最近怎么样？ | こんにちは | 안녕하세요 | مرحبا | नमस्ते | ☕️👍
If you like, we can meet at the cafe near the station at half past four, or I pick you up - whatever suits you.
200 g flour, 2 eggs, 1/2 cup of milk, a pinch of salt. Mix, wait 30 minutes, fry in butter.
Do you remember what I told you about the wedding? | You mentioned that last week.
As an assistant, I have no body.""")


CALIBRATION = sentences("""The train to Lisbon leaves at nine in the morning.
My sister adopted a grey cat called Pixel last spring.
How many milligrams of ibuprofen can an adult take per day?
We moved the database from Postgres 14 to Postgres 16 over the weekend.
He never learned to swim, although he grew up beside the sea.
What's the name of the bakery on Queen Street?
Quarterly revenue rose by 12.4%, mostly thanks to repeat customers.
Please remind me to water the tomatoes on Thursday.
The function raises a ValueError when the list is empty.
I'm allergic to peanuts and shellfish, so check the menu first.
Mount Kilimanjaro is the highest mountain in Africa. | Could you translate this paragraph into Portuguese?
The old violin had belonged to her grandfather's teacher. | Our flight was cancelled because of heavy fog.
I prefer tea over coffee, especially in the evening.
git rebase --interactive HEAD~5 lets you squash commits.
The contract ends on 31 March 2027 unless either party objects.
They painted the kitchen a pale shade of yellow.
Photosynthesis turns light, water and carbon dioxide into sugar. | ok | Thanks! | 42
¿Dónde está la estación de tren más cercana? | Der Zug nach München hat zwanzig Minuten Verspätung.
東京の天気はどうですか | 🎉🎉 finally done with my thesis!!!""")
REFERENCE = sentences("""The ferry to the island runs twice a day in winter.
I keep the spare key under the blue flowerpot.
How do I convert a list of strings to lower case? | Her brother moved to Toronto to study marine biology.
The meeting with the auditors is on Tuesday at 10:30.
Preheat the oven to 180 degrees and grease the tin. | Our cache misses doubled after the last deployment.
Which of these museums is open on Mondays? | Yes, please! | What on earth?! | x = [1, 2, 3] | 明日は雨です | 🙃""")
WHO = sentences("""My neighbour | The new intern | Aunt Rosa | Our landlord | A retired pilot | The support team
Dr. Okafor | The band""")
DID = sentences("""bought a second-hand bicycle | asked for a refund of 79.90 euros | lost the keys to the cellar
wrote a script in Rust | is afraid of spiders | cooked lentil soup for nine people
flies to Nairobi on Friday | cannot stand loud music | adopted two rescue dogs
finished the marathon in 3:58:12""")
WHEN = ["yesterday.", "after the storm, which nobody had expected so early in the year.", "- why?"]


def calibration_texts(vocabulary: Iterable[str]) -> list[str]:
    """Texts of many lengths: the sentences above, templates filled in, and random words of the vocabulary."""
    choose = random.Random(7)
    words = sorted(word for word in vocabulary if len(word) > 2 and word.isascii() and word.isalpha())
    filled = [f"{who} {did} {when}" for who in WHO for did in DID for when in WHEN] + CALIBRATION
    texts = CALIBRATION + SPOKEN
    for _ in range(TEXTS):
        text: list[str] = []
        length = choose.choice([6, 12, 25, 60, 150])
        while len(text) < length:
            made_up = " ".join(choose.choices(words, k=choose.randint(3, 12))) + choose.choice(".?!,")
            text += (choose.choice(filled) if choose.random() < 0.5 else made_up).split()
        texts.append(" ".join(text))
    for count, number in VARIED:
        for _ in range(number):
            share = choose.choice([0, 0.15, 0.4])
            parts = " ".join(choose.choices(CALIBRATION + SPOKEN, k=count)).split()
            changed = [choose.choice(words) if w.isalpha() and choose.random() < share else w for w in parts]
            texts.append(" ".join(changed))
    return texts
