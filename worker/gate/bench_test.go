package gate

import (
	"fmt"
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// BenchmarkPick is the time of a pick with its end, by way and number of members, on all CPUs.
func BenchmarkPick(b *testing.B) {
	for _, way := range Ways {
		for _, n := range []int{4, 100} {
			p := picker(b, optionsOf(way), table(n, reports(idle)))
			for _, l := range p.lives {
				l.latency.sample(second, 1e6, 0, false)
			}
			p.Refresh(second)
			keys := make([]string, 1024)
			for i := range keys {
				keys[i] = fmt.Sprint("user-", i)
			}
			b.Run(fmt.Sprint(way, "/", n), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						k, err := p.Pick(Request{Key: keys[i%len(keys)], Now: second})
						if err != nil {
							b.Error(err)
							return
						}
						k.Done(second, Cancelled)
					}
				})
			})
		}
	}
}

// TestPickAllocates: a pick allocates nothing.
func TestPickAllocates(t *testing.T) {
	for _, way := range Ways {
		p := picker(t, optionsOf(way), table(20, weights(1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), reports(idle)))
		if n := testing.AllocsPerRun(100, func() { mustPick(t, p, Request{Key: "k", Now: second}).Done(second+1, Answered) }); n > 0 {
			t.Errorf("%s allocates %v times a pick", way, n)
		}
	}
}

// BenchmarkUpdate is the time of a new table of 1,000 members.
func BenchmarkUpdate(b *testing.B) {
	for _, way := range Ways {
		b.Run(way, func(b *testing.B) {
			all := table(1000, reports(idle))
			p := picker(b, optionsOf(way), all)
			for i := 0; b.Loop(); i++ {
				all.Members[0].Weight = float64(1 + i%2)
				p.Update(members.Table{Members: all.Members}, second)
			}
		})
	}
}
