"""Simulates proton collisions that make a Z boson and histograms the mass of its muons: collide.py START STOP

Each number of START … STOP - 1 is one run of EVENTS collisions, seeded by it. Writes a line `mass TAB pairs` for each
bin of 1 GeV, by its lower edge: whole numbers only, so that equal seeds give equal bytes.
"""

import sys
from collections import Counter

import pythia8mc

EVENTS = 500
MASSES = range(60, 121)  # GeV
SETTINGS = [
    "Print:quiet = on",
    "Random:setSeed = on",
    "Beams:eCM = 13600.",  # GeV, as in the LHC
    "WeakSingleBoson:ffbar2gmZ = on",
    "PhaseSpace:mHatMin = 50.",
    "23:onMode = off",
    "23:onIfAny = 13",  # of the Z's decays only those to muons
    "PartonLevel:MPI = off",  # without the rest of the protons
]


def masses(seed):
    """The mass in GeV of the pair of hardest muons of each collision."""
    pythia = pythia8mc.Pythia("", False)
    for setting in [*SETTINGS, f"Random:seed = {seed + 1}"]:  # seed 0 would be the clock
        pythia.readString(setting)
    if not pythia.init():
        sys.exit("Pythia refused its settings")
    for _ in range(EVENTS):
        pythia.next()
        muons = [particle.p() for particle in pythia.event if particle.isFinal() and particle.idAbs() == 13]
        muons.sort(key=lambda momentum: momentum.pT())
        if len(muons) >= 2:
            yield (muons[-1] + muons[-2]).mCalc()


if __name__ == "__main__":
    pairs = Counter(int(mass) for number in range(*map(int, sys.argv[1:])) for mass in masses(number))
    for mass in MASSES:
        print(mass, pairs[mass], sep="\t")
