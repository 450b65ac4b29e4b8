package formula

import (
	"fmt"
	"math"

	"github.com/tinehq/tine/ipc/members"
)

// usual are values of a statistic that members have: of one that has little, some, and much of it.
func usual(s members.Stat) [3]float64 {
	switch s {
	case members.CPUIdle:
		return [3]float64{0.1, 0.5, 0.9}
	case members.MemoryFree, members.MemoryTotal:
		return [3]float64{1 << 28, 1 << 31, 1 << 34}
	}
	return [3]float64{1, 10, 100}
}

// Warnings says which statistics f counts the wrong way round, where the highest number, or else the lowest, is the best. It tries
// values that members have: a statistic of which more always makes a member look better, and less is better, is one, and the reverse.
func (f *Formula) Warnings(highestWins bool) (all []string) {
	for i, n := range f.uses {
		way := f.direction(i)
		if !highestWins {
			way = -way
		}
		label := n.word
		if label != string(n.stat) {
			label += fmt.Sprintf(" (%s)", n.stat)
		}
		switch good := n.stat.HighIsGood(); {
		case way > 0 && !good:
			all = append(all, label+" has the wrong sign: more of it makes a member look better, and less of it is better")
		case way < 0 && good:
			all = append(all, label+" has the wrong sign: more of it makes a member look worse, and more of it is better")
		}
	}
	return all
}

// direction is 1 where more of the statistic makes the number greater, -1 where it makes it less, whatever the others are; 0: neither.
func (f *Formula) direction(of int) int {
	up, down := false, false
	values := map[string]float64{}
	combinations := int(math.Pow(3, float64(min(len(f.uses)-1, 4))))
	for c := range combinations {
		rest := c
		for i, n := range f.uses {
			if i != of {
				values[n.word] = n.factor * usual(n.stat)[rest%3]
				rest /= 3
			}
		}
		before := math.NaN()
		n := f.uses[of]
		for _, v := range usual(n.stat) {
			values[n.word] = n.factor * v
			now, ok := f.run(values)
			if !ok {
				return 0
			}
			up, down = up || now > before, down || now < before
			before = now
		}
	}
	switch {
	case up && !down:
		return 1
	case down && !up:
		return -1
	}
	return 0
}
