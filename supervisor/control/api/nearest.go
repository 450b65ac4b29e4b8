package api

// Nearest returns the known word that was probably meant by word, or "".
func Nearest(word string, known []string) string {
	best, bestDistance := "", max(1, min(3, len(word)/3))+1
	for _, k := range known {
		if d := Distance(word, k); d < bestDistance && d > 0 {
			best, bestDistance = k, d
		}
	}
	return best
}

// Distance counts the insertions, deletions, changes and swaps of neighbours that
// make b of a: the optimal string alignment distance. Words over 64 bytes are far from
// all others.
func Distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var beforeLast []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeLast[j-2]+1)
			}
		}
		beforeLast, last = last, row
	}
	return last[len(b)]
}
