export LC_ALL=de_DE.UTF-8 TZ=America/New_York
{
  tr -s ' ' '\n' <"$1" | grep . | sort -u
  date -d @1710000000 '+%A %c %Z'
  env printf '%.2f %s\n' 1234,5 'Grüße: "$HOME" `x` \ {input}'
} | sort -u
