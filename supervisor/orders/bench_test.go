package orders

import (
	"fmt"
	"io"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// BenchmarkRollout is what the book costs for each worker that a reload replaces: with four facts of the worker and a Tick after each.
// It must not grow with the number of slots.
func BenchmarkRollout(b *testing.B) {
	for _, n := range []int{16, 64, 256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(io.Discard)
			if err := addApp(w, parse([]string{"web", fmt.Sprintf("workers=%d", n), "patience=10000h"})); err != nil {
				b.Fatal(err)
			}
			w.place(api.Order{Verb: api.VerbReload, App: "web"})
			r, o := w.named("web"), w.book.orders[0]
			kinds := []pool.Kind{pool.KindSpawned, pool.KindReady, pool.KindDraining, pool.KindExited}
			b.ReportAllocs()
			for b.Loop() {
				for _, kind := range kinds {
					w.book.Step(w.now, Fact{App: r.id, Record: pool.Record{Kind: kind, ID: 1, Generation: o.generation}})
					w.book.Step(w.now, Tick{})
				}
			}
		})
	}
}

// BenchmarkManyOrders is what a Tick costs beside a restart of all of n apps, which claims the next run of each.
func BenchmarkManyOrders(b *testing.B) {
	for _, n := range []int{16, 128, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(io.Discard)
			for i := range n {
				if err := addApp(w, parse([]string{fmt.Sprintf("web%d", i), "workers=1", "patience=10000h"})); err != nil {
					b.Fatal(err)
				}
			}
			w.place(api.Order{Verb: api.VerbRestart})
			if len(w.book.claims) != n {
				b.Fatal(len(w.book.claims))
			}
			b.ReportAllocs()
			for b.Loop() {
				w.book.Step(w.now, Tick{})
			}
		})
	}
}
