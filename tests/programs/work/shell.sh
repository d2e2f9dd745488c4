# Work for bash: arrays, strings, functions, subshells, pipes, here documents, sorting.
declare -A count
words=(tide mark pool arena span block survivor site heap bin)
for ((i = 0; i < 20000; i++)); do
    word=${words[$((i * 7 % 10))]}$((i % 97))
    count[$word]=$((${count[$word]:-0} + i))
done
for word in "${!count[@]}"; do
    echo "$word ${count[$word]}"
done | sort | awk '{ sum += $2; print $1, $2 } END { print "sum", sum }' | tail -n 30

fibonacci() {
    local n=$1
    if ((n < 2)); then echo "$n"; else echo $(($(fibonacci $((n - 1))) + $(fibonacci $((n - 2))))); fi
}
fibonacci 11

text=
for ((i = 0; i < 3000; i++)); do text+="line $i of the text;"; done
echo "${#text} ${text//line/LINE}" | md5sum
while read -r a b; do
    [[ $a =~ ^([a-z]+)([0-9]+)$ ]] && echo "${BASH_REMATCH[1]}-${BASH_REMATCH[2]}-${b^^}"
done <<'HERE'
alpha1 one
beta22 two
gamma333 three
HERE
mapfile -t lines < <(seq 1 5000)
printf '%s\n' "${lines[@]}" | sha256sum
for i in {1..30}; do (echo "$i" | (read -r x; exit $((x % 3)))) || failures+=("$i"); done
echo "${failures[@]}"
coproc cat
echo "through a coprocess" >&"${COPROC[1]}"
read -r line <&"${COPROC[0]}"
echo "$line"
