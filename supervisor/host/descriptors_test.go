package host

import "testing"

// TestShareOut: whatever the limit, the shares fit into it, and from 256 on there is something for workers.
func TestShareOut(t *testing.T) {
	t.Parallel()
	for _, kept := range []int{0, 1, 100, 496, 4096} {
		before := Descriptors{}
		for limit := 64; limit <= mostFiles; limit += limit/7 + 1 {
			d := shareOut(limit, kept)
			all := 2*d.Values + d.Control + askedAddresses*d.Askers + d.Workers + ownFiles
			if limit >= 256 && (all != limit || d.Workers < limit/6) {
				t.Errorf("of %d: %+v", limit, d)
			}
			if d.Values < before.Values || d.Control < before.Control || d.Askers < before.Askers || d.Workers < before.Workers {
				t.Errorf("of %d there are fewer than of a lower limit: %+v, %+v", limit, d, before)
			}
			if kept > 0 && d.Values > max(kept/keptShare, leastValues) {
				t.Errorf("%d values fill a store of %d files", d.Values, kept)
			}
			before = d
		}
	}
}
