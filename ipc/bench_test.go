package ipc

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

func BenchmarkEncodeSet(b *testing.B) {
	for _, n := range []int{16, InlineMax} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := Set{Epoch: 1000, Key: "users", Payload: newPayload(b, pattern(n, 0))}
			buf := make([]byte, 0, largeBuffer)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := appendFrame(buf, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeSet(b *testing.B) {
	for _, n := range []int{16, InlineMax} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			wire, err := appendFrame(nil, Set{Epoch: 1000, Key: "users", Payload: newPayload(b, pattern(n, 0))})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				f, err := decode(TypeSet, wire[headerLen:], nil)
				if err != nil {
					b.Fatal(err)
				}
				Discard(f)
			}
		})
	}
}

// BenchmarkBroadcast is one value to 32 peers, until the last one has it.
func BenchmarkBroadcast(b *testing.B) {
	const peers = 32
	for _, n := range []int{16, InlineMax, 64 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var seen, readers sync.WaitGroup
			var boxes []*Outbox
			for range peers {
				c, d := channel(b)
				boxes = append(boxes, NewOutbox(c, OutboxOptions{}))
				readers.Go(func() {
					for {
						f, err := d.Read()
						if err != nil {
							if err != io.EOF {
								b.Error(err)
							}
							return
						}
						Discard(f)
						seen.Done()
					}
				})
			}
			p := newPayload(b, pattern(n, 0))
			epoch := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				epoch++
				seen.Add(peers)
				for _, o := range boxes {
					if err := o.SendValue(Set{Epoch: epoch, Key: "users", Payload: p.Retain()}); err != nil {
						b.Fatal(err)
					}
				}
				seen.Wait()
			}
			b.StopTimer()
			for _, o := range boxes {
				o.Close()
			}
			readers.Wait()
			p.Release()
		})
	}
}

// BenchmarkSustained sends to 32 peers without waiting for them: the cost of an update when they are batched.
func BenchmarkSustained(b *testing.B) {
	const peers = 32
	var readers sync.WaitGroup
	var boxes []*Outbox
	for range peers {
		c, d := channel(b)
		boxes = append(boxes, NewOutbox(c, OutboxOptions{}))
		readers.Go(func() {
			for {
				f, err := d.Read()
				if err != nil {
					return
				}
				Discard(f)
			}
		})
	}
	p := newPayload(b, pattern(16, 0))
	epoch := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		epoch++
		for _, o := range boxes {
			if err := o.SendValue(Set{Epoch: epoch, Key: "users", Payload: p.Retain()}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	for _, o := range boxes {
		o.CloseAfterFlush(eventually.Patience())
		<-o.Done()
	}
	readers.Wait()
}
