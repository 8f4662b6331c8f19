"""Reads and writes everything by relative paths, as programs do: settings, a counter kept in a file, results, junk."""
import json
import os
import sys

settings = json.load(open("config/settings.json"))
stop = open("data files/stop words.txt").read().split()
with open("counter.txt", "r+") as counter:
    number = int(counter.read()) + 1
    counter.seek(0)
    counter.write(str(number))
os.makedirs("out/by length", exist_ok=True)
os.chdir("out")
words = [word for word in open(sys.argv[1]).read().split() if word not in stop]
for length in range(1, settings["longest"]):
    with open("by length/%d.txt" % length, "w") as file:
        file.writelines(word + "\n" for word in sorted(words) if len(word) == length)
os.chdir("..")
open("junk.tmp", "w").write("not a result")
print("this is chatter, not the result")
json.dump({"words": len(words), "runs": number}, open("summary.json", "w"))
