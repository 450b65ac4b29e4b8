package gate

import (
	"fmt"
	"math"
	"testing"

	"github.com/tinehq/tine/ipc/members"
)

// TestCRC32 has what the npm packages crc 0.2.0 and crc 4.3.2 return.
func TestCRC32(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key              string
		signed, unsigned int64
	}{
		{"", 0, 0}, {"a", -390611389, 3904355907}, {"uid", 1402668550, 1402668550}, {"room1", -462210518, 3832756778},
		{"1", -2082672713, 2212294583}, {"10001", 12275155, 12275155}, {"10002", -1716380567, 2578586729},
		{"bob", -171200192, 4123767104}, {"用户", -1539761830, 501916381}, {"é", 198489425, 235179326}, {"😀", 724654657, 88978756},
	} {
		if got := CRC32(c.key, true); got != max(c.signed, -c.signed) {
			t.Errorf("signed, of %q: %d, want the absolute value of %d", c.key, got, c.signed)
		}
		if got := CRC32(c.key, false); got != c.unsigned {
			t.Errorf("unsigned, of %q: %d, want %d", c.key, got, c.unsigned)
		}
	}
	if got := CRC32("\x80", true); got < 0 {
		t.Errorf("of what is not UTF-8: %d", got)
	}
}

// TestCRC32Mod: the list is in the order of the table, and a member that is down leaves its keys to the next, and no others.
func TestCRC32Mod(t *testing.T) {
	t.Parallel()
	for _, signed := range []bool{true, false} {
		p := picker(t, Options{Way: CRC32Mod, Signed: signed}, table(3))
		before := map[string]string{}
		for i := range 300 {
			key := fmt.Sprint(10000 + i)
			before[key] = mustPick(t, p, Request{Key: key, Now: second}).Member().ID
			if want := fmt.Sprint("m", CRC32(key, signed)%3); before[key] != want {
				t.Fatalf("signed %t: key %s is at %s, want %s", signed, key, before[key], want)
			}
		}
		p.Update(table(3, func(i int, m *members.Member) {
			if i == 1 {
				m.State = members.Down
			}
		}), second)
		for key, was := range before {
			want := was
			if was == "m1" {
				want = "m2"
			}
			if got := mustPick(t, p, Request{Key: key, Now: second}).Member().ID; got != want {
				t.Fatalf("signed %t: with m1 down key %s is at %s, want %s", signed, key, got, want)
			}
		}
	}
}

// spreadOf says where each of so many keys goes.
func spreadOf(t testing.TB, p *Picker, keys int) (at []string, counts map[string]int) {
	counts = map[string]int{}
	for i := range keys {
		k := mustPick(t, p, Request{Key: fmt.Sprintf("user-%d", i), Now: second})
		id := k.Member().ID
		at, counts[id] = append(at, id), counts[id]+1
		k.Done(second, Cancelled)
	}
	return at, counts
}

// TestKeysSpread: chi-square of the counts is below the value that chance exceeds in one of 1,000 trials (for maglev with the
// share that its table gives each member).
func TestKeysSpread(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 10, 100, 1000} {
		for _, way := range []string{Rendezvous, Maglev, CRC32Mod} {
			keys := 20_000
			p := picker(t, Options{Way: way}, table(n))
			_, counts := spreadOf(t, p, keys)
			chi, mean := 0.0, float64(keys)/float64(n)
			shares := map[string]float64{}
			for _, i := range p.now.Load().lookup {
				shares[fmt.Sprint("m", i)] += 1.0 / lookups
			}
			for i := range n {
				want := mean
				if way == Maglev {
					want = shares[fmt.Sprint("m", i)] * float64(keys)
				}
				d := float64(counts[fmt.Sprint("m", i)]) - want
				chi += d * d / want
			}
			// The quantile of 0.999 by Wilson and Hilferty, 1931.
			df := float64(n - 1)
			if limit := df * math.Pow(1-2/(9*df)+3.09*math.Sqrt(2/(9*df)), 3); chi > limit && way != CRC32Mod || chi > 2*limit {
				t.Errorf("%s over %d: chi-square %.1f, limit %.1f", way, n, chi, limit)
			}
		}
	}
}

// TestKeysStay: one more of n members takes 1/(n+1) of the keys, and no key moves between the others; one that is down leaves
// its keys alone.
func TestKeysStay(t *testing.T) {
	t.Parallel()
	const n, keys = 10, 20_000
	for _, way := range []string{Rendezvous, Maglev} {
		p := picker(t, Options{Way: way}, table(n))
		before, _ := spreadOf(t, p, keys)
		p.Update(table(n+1), second)
		after, _ := spreadOf(t, p, keys)
		moved, between := 0, 0
		for i := range before {
			if after[i] != before[i] {
				if moved++; after[i] != fmt.Sprint("m", n) {
					between++
				}
			}
		}
		want := keys / float64(n+1)
		allowed := 0.1 // maglev moves some keys more, as all turns shift
		if way == Maglev {
			allowed = 0.6
		} else if between > 0 {
			t.Errorf("%s moves %d keys between those that were there", way, between)
		}
		if d := math.Abs(float64(moved)-want) / want; d > allowed {
			t.Errorf("%s moves %d of %d keys, want %.0f", way, moved, keys, want)
		}
		p.Update(table(n, func(i int, m *members.Member) {
			if i == 4 {
				m.State = members.Ejected
			}
		}), second)
		without, _ := spreadOf(t, p, keys)
		for i := range before {
			if before[i] != "m4" && without[i] != before[i] {
				t.Fatalf("%s: key %d moves from %s to %s when m4 is ejected", way, i, before[i], without[i])
			}
		}
	}
}

// TestBounded: a bound of 1.25 keeps the most loaded at 1.25 of the mean, whatever the keys.
func TestBounded(t *testing.T) {
	t.Parallel()
	for _, way := range []string{CRC32Mod, Rendezvous, Maglev} {
		p := picker(t, Options{Way: way, Bounded: 1.25}, table(10))
		counts := map[string]int{}
		for i := range 1000 {
			counts[mustPick(t, p, Request{Key: fmt.Sprint("popular", i%3), Now: second}).Member().ID]++
		}
		for id, c := range counts {
			if float64(c) > math.Ceil(1.25*100) {
				t.Errorf("%s: %s has %d of 1000", way, id, c)
			}
		}
	}
}

// TestRendezvousWeights: shares of keys are as the weights, and a weight that grows takes keys from the others and moves none
// between them.
func TestRendezvousWeights(t *testing.T) {
	t.Parallel()
	const keys = 20_000
	p := picker(t, Options{Way: Rendezvous}, table(3, weights(1, 2, 3)))
	before, counts := spreadOf(t, p, keys)
	for i, share := range []float64{1. / 6, 2. / 6, 3. / 6} {
		if got := float64(counts[fmt.Sprint("m", i)]) / keys; math.Abs(got-share) > share*0.08 {
			t.Errorf("m%d has %.3f of the keys, want %.3f", i, got, share)
		}
	}
	p.Update(table(3, weights(1, 2, 4)), second)
	after, _ := spreadOf(t, p, keys)
	for i := range before {
		if before[i] != after[i] && after[i] != "m2" {
			t.Fatalf("key %d moves from %s to %s, and only m2 has grown", i, before[i], after[i])
		}
	}
}
