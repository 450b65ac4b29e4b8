package bpf

import (
	"slices"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// counts are the entries of each slot, of those that are drawn from.
func counts(t [ipc.TableSize]uint16, entries int) map[int]int {
	n := map[int]int{}
	for _, slot := range t[:entries] {
		n[int(slot)]++
	}
	return n
}

// A slot that is not open moves its own entries only. They are spread over the others, and come back.
func TestTableMovesOnlyTheirOwn(t *testing.T) {
	all := []int{0, 1, 2, 3, 5, 8}
	for _, policy := range []Policy{Hash, ClientIP} {
		before := Table(policy, all, nil)
		for _, out := range all {
			rest := slices.DeleteFunc(slices.Clone(all), func(slot int) bool { return slot == out })
			now := Table(policy, rest, nil)
			for i := range now {
				if int(before[i]) != out && now[i] != before[i] || int(now[i]) == out {
					t.Fatalf("%s without slot %d: entry %d was of slot %d and is of slot %d", policy, out, i, before[i], now[i])
				}
			}
			// Each gets about a fifth of what the slot had, which was about a sixth.
			for slot, n := range counts(now, len(now)) {
				if mean := len(now) / len(rest); n < mean*9/10 || n > mean*11/10 {
					t.Errorf("%s without slot %d: slot %d has %d of %d entries", policy, out, slot, n, len(now))
				}
			}
		}
	}
}

// Random draws below the share, and each slot has as many entries there as the others.
func TestTableOfRandomIsEven(t *testing.T) {
	for _, open := range [][]int{{0}, {4}, {0, 1, 2}, {1, 3, 5, 7, 9, 11, 13}} {
		tbl := Table(Random, open, nil)
		share := int(tbl[drawEntry])
		got := counts(tbl, share)
		for _, slot := range open {
			if want := share / len(open); got[slot] != want || want == 0 {
				t.Errorf("of %v slot %d has %d of %d entries, want %d", open, slot, got[slot], share, want)
			}
		}
		if len(got) != len(open) {
			t.Errorf("of %v the entries are of %v", open, got)
		}
	}
}

func TestTableOfCPUs(t *testing.T) {
	cpus := map[int]int{0: 0, 1: 2, 2: 2, 3: -1, 4: drawEntry}
	tbl := Table(CPU, []int{0, 1, 2, 3, 4}, func(slot int) int { return cpus[slot] })
	share := int(tbl[drawEntry])
	of := func(cpu int) map[int]int {
		n := map[int]int{}
		for _, slot := range tbl[cpu*share : (cpu+1)*share] {
			n[int(slot)]++
		}
		return n
	}
	if got := of(0); len(got) != 1 || got[0] != share {
		t.Errorf("CPU 0 has %v of %d entries, want slot 0 alone", got, share)
	}
	if got := of(2); len(got) != 2 || got[1] != got[2] {
		t.Errorf("CPU 2 has %v, want slots 1 and 2 alike", got)
	}
	if got := of(1); len(got) != 1 || got[1] != share {
		t.Errorf("CPU 1, which no slot has, has %v, want slot 1, which its number gives", got)
	}
	only := Table(CPU, []int{7}, nil)
	for i, slot := range only[:drawEntry] {
		if slot != 7 {
			t.Fatalf("entry %d is of slot %d, want the only open one, 7", i, slot)
		}
	}
}
