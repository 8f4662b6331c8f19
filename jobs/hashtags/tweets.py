"""Writes archives of made-up tweets, one a day: python tweets.py FOLDER [--days N] [--tweets N] [--seed N]

FOLDER/2020-03-01 #geo Tweets 日.zip … hold, as such collections do, a file an hour with a JSON object a line:
id, created_at, lang, text, place (country, country_code; null for most). The same seed gives the same bytes.
"""

import argparse
import json
import random
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

# language, countries, its word for the subject, a few words
PEOPLE = {
    "en": (["US", "GB", "IN", "NG"], "#coronavirus", ["wash", "your", "hands", "stay", "home", "nurses"], 40),
    "es": (["MX", "ES", "AR"], "#QuédateEnCasa", ["hospital", "cuarentena", "gracias", "médicos"], 18),
    "ko": (["KR"], "#코로나바이러스", ["마스크", "손씻기", "대구", "응원합니다"], 10),
    "ja": (["JP"], "#新型コロナウイルス", ["マスク", "学校", "休校", "手洗い"], 12),
    "ar": (["SA", "EG"], "#كورونا", ["الصحة", "البيت", "سلامتكم"], 8),
    "hi": (["IN"], "#कोरोनावायरस", ["घर", "सुरक्षित", "हाथ"], 6),
    "fr": (["FR", "CM"], "#RestezChezVous", ["hôpital", "confinement", "santé"], 6),
}
COUNTRIES = {
    "US": "United States", "GB": "United Kingdom", "IN": "India", "NG": "Nigeria", "MX": "México", "ES": "España",
    "AR": "Argentina", "KR": "대한민국", "JP": "日本", "SA": "المملكة العربية السعودية", "EG": "مصر", "FR": "France",
    "CM": "Cameroun",
}  # fmt: skip
EVERYWHERE = ["#COVID19", "#covid19", "#flu", "#StayHome", "#doctor"]
FIRST_DAY = date(2020, 3, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--tweets", type=int, default=20_000, help="of a day, about")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for number in range(chosen.days):
        day = FIRST_DAY + timedelta(days=number)
        source = random.Random(f"{chosen.seed} {day}")
        tweets = round(chosen.tweets * (1 + 0.3 * source.random()))
        write(chosen.folder / f"{day} #geo Tweets 日.zip", day, tweets, source)


def write(path: Path, day: date, tweets: int, source: random.Random) -> None:
    """One day's archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for hour in range(24):
            entry = zipfile.ZipInfo(f"geoTwitter{day:%y-%m-%d}_{hour:02d}:00", (day.year, day.month, day.day, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, "".join(lines(day, hour, tweets // 24, source)))


def lines(day: date, hour: int, tweets: int, source: random.Random) -> Iterator[str]:
    """The tweets of an hour. From day to day the subject is in more of them."""
    fever = min(0.9, 0.1 + 0.05 * (day - FIRST_DAY).days)
    weights = [weight for *_, weight in PEOPLE.values()]
    for number in range(tweets):
        lang = source.choices(list(PEOPLE), weights)[0]
        countries, tag, words, _ = PEOPLE[lang]
        tags = [tag] * (source.random() < fever) + [source.choice(EVERYWHERE)] * (source.random() < fever / 4)
        text = source.choices(words, k=source.randint(2, 8)) + tags
        country = source.choice(countries)
        tweet = {
            "id": (day.toordinal() * 24 + hour) * 10**6 + number,
            "created_at": f"{day:%a %b %d} {hour:02d}:{number * 60 // tweets:02d}:00 +0000 {day.year}",
            "lang": lang,
            "text": " ".join(text),
            "place": {"country": COUNTRIES[country], "country_code": country} if source.random() < 0.6 else None,
        }
        yield json.dumps(tweet, ensure_ascii=source.random() < 0.5) + "\n"


if __name__ == "__main__":
    main()
