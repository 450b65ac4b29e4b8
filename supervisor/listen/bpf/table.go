package bpf

import (
	"slices"

	"github.com/tinehq/tine/ipc"
)

// drawEntry is the entry of a table that is drawn from that holds how many entries each list has: see deal.
const drawEntry = ipc.TableSize - 1

// Table returns the table of a policy: entry i is the slot for index i. It depends only on the open slots, which are
// ascending and at least one, so that it is the same after a restart. cpu tells the CPU of a slot, -1 for none; it may be nil.
func Table(policy Policy, open []int, cpu func(slot int) int) (t [ipc.TableSize]uint16) {
	switch policy {
	case Hash, ClientIP:
		rendezvous(&t, open)
	case Random:
		deal(&t, [][]int{open})
	case CPU:
		deal(&t, slotsByCPU(open, cpu))
	}
	return t
}

// rendezvous gives each index to the open slot that draws the highest number for it (highest random weight hashing, Thaler and
// Ravishankar 1998). When a slot closes only what it had moves, and when it opens again just that comes back.
func rendezvous(t *[ipc.TableSize]uint16, open []int) {
	for i := range t {
		best, highest := open[0], uint64(0)
		for _, slot := range open {
			if n := spread(uint64(i)<<32 | uint64(slot)); n > highest {
				best, highest = slot, n
			}
		}
		t[i] = uint16(best)
	}
}

// deal gives each list an equal share of the table, and in it each slot of the list its turn. The share is in the draw entry: index
// = list*share + a random number below share. Shares are as large as they can be with the same number of entries for
// each slot of the longest list.
func deal(t *[ipc.TableSize]uint16, lists [][]int) {
	if len(lists) > drawEntry {
		lists = lists[:drawEntry]
	}
	longest := 1
	for _, list := range lists {
		longest = max(longest, len(list))
	}
	share := drawEntry / len(lists)
	if share > longest {
		share -= share % longest
	}
	for i := range drawEntry {
		list := lists[i/share%len(lists)]
		t[i] = uint16(list[i%share%len(list)])
	}
	t[drawEntry] = uint16(share)
}

// slotsByCPU lists the open slots of each CPU, up to the last CPU that has one. A CPU without a slot gets one of the open
// slots.
func slotsByCPU(open []int, cpu func(slot int) int) (lists [][]int) {
	if cpu == nil {
		cpu = func(int) int { return -1 }
	}
	for _, slot := range open {
		c := cpu(slot)
		if c < 0 || c >= drawEntry {
			continue
		}
		lists = slices.Grow(lists, max(c+1-len(lists), 0))
		for len(lists) <= c {
			lists = append(lists, nil)
		}
		lists[c] = append(lists[c], slot)
	}
	if len(lists) == 0 {
		lists = make([][]int, len(open))
	}
	for c := range lists {
		if lists[c] == nil {
			lists[c] = []int{open[c%len(open)]}
		}
	}
	return lists
}

// Factors of the finalizer of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford).
const (
	mixer1 = 0xbf58476d1ce4e5b9
	mixer2 = 0x94d049bb133111eb
)

// spread turns a number into one that looks random: the finalizer of SplitMix64.
func spread(n uint64) uint64 {
	n ^= n >> 30
	n *= mixer1
	n ^= n >> 27
	n *= mixer2
	return n ^ n>>31
}
