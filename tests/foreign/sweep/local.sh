for x in 1 2 3; do for word in 'a b' 'ü'; do echo 'scale = 6'; echo $x; echo "--word=$word" '{ print $1 }'; done; done
