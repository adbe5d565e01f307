"""Words and sentences that the Embeddings page opens with, and what its buttons offer instead."""

WORD_GROUPS = {
    "kinds": "animals: cat, dog, horse, cow, lion, tiger, bear, wolf, mouse, fish\n"
    "countries: France, Germany, Italy, Spain, Japan, China, Russia, England, Egypt, India\n"
    "capitals: Paris, Berlin, Rome, Madrid, Tokyo, Beijing, Moscow, London, Cairo, Delhi\n"
    "numbers: one, two, three, four, five, six, seven, eight, nine, ten\n"
    "verbs: run, walk, eat, drink, sleep, speak, write, read, think, sing",
    "people": "he: man, boy, king, prince, father, brother, son, uncle, husband, actor\n"
    "she: woman, girl, queen, princess, mother, sister, daughter, aunt, wife, actress",
    "feelings": "good: good, great, nice, happy, love, joy, kind, beautiful, perfect, best\n"
    "bad: bad, terrible, awful, sad, hate, pain, cruel, ugly, wrong, worst\n"
    "colours: red, green, blue, yellow, white, black, brown, orange, pink, grey",
    "tenses": "now: go, run, see, take, write, speak, eat, give, know, think\n"
    "past: went, ran, saw, took, wrote, spoke, ate, gave, knew, thought",
}
SENTENCES = {
    "mole": "American shrew mole\nOne mole of carbon dioxide\nTake a biopsy of the mole",
    "bank": "She put her money in the bank\nThey sat down on the bank of the river\n"
    "He paid it into his account at the bank",
    "bark": "We heard the dog bark at the postman\nThe bark of the old tree was rough\n"
    "Wolves howl and dogs bark when strangers come",
}
