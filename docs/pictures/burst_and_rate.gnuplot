# GCRA: rate 1 a second, burst 3. The requests are given; which of them are admitted follows from the two numbers.
set terminal svg noenhanced size 760,330 font 'Helvetica,Arial,sans-serif,12' background rgb 'white'
interval = 1.0
burst = 3
# The limiter keeps one number: when the bucket would be full again. Admitted is a request that moves it at most burst intervals ahead.
full_at = -1000.0
left(t) = full_at <= t ? burst : burst - (full_at - t) / interval
take(t) = left(t) >= 1 ? (full_at = (full_at > t ? full_at : t) + interval, 1) : 0
$requests << EOD
0.5
0.6
0.7
0.8
1.2
1.7
2.3
2.6
2.9
3.8
8.0
8.1
8.2
8.3
EOD
# The level of the bucket: what is left at each fiftieth of a second, after the requests up to then.
set table $verdicts
plot $requests using 1:(was = left($1), take($1)):(was) with table
unset table
full_at = -1000.0
array due[14]
do for [i=1:14] { due[i] = real(word($requests[i], 1)) }
next = 1
level(t) = (next <= 14 && due[next] <= t + 0.001 ? (take(due[next]), next = next + 1, left(t)) : left(t))
set title 'taskapi.rate_limit(key, 1, ''1 second'', burst => 3)' font ',13'
set xlabel 'seconds'
set ylabel 'requests left'
set xrange [0:10]
set yrange [-0.45:3.75]
set xtics 1
set ytics 0, 1, 3
set grid
set key off
set border 3
set tics nomirror
set samples 501
set label 1 'a burst: 3 at once' at 0.55, 3.3
set label 2 'denied: 429 with Retry-After' at 0.9, 2.4
set arrow 2 from 1.25, 2.25 to 1.2, -0.08 front lw 1 lc rgb '#52606d'
set label 3 'then 1 a second' at 3.3, 1.6
set arrow 3 from 3.8, 1.45 to 3.8, -0.08 front lw 1 lc rgb '#52606d'
set label 4 'after a pause: a burst again' at 6.2, 3.3
plot level(x) with lines lw 2 lc rgb '#2b6cb0', \
     $verdicts using ($2 > 0 ? $1 : NaN):(-0.22) with points pt 7 ps 0.8 lc rgb '#2f855a', \
     $verdicts using ($2 > 0 ? NaN : $1):(-0.22) with points pt 2 ps 0.8 lw 2 lc rgb '#c53030'
