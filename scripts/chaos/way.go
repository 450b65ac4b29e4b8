package main

import (
	"fmt"
	"math/rand/v2"
)

// way is how the connections of a run are steered. The seed chooses it, so that many
// runs cover all ways.
type way struct{ steering, policy string }

func wayOf(seed uint64) way {
	r := rand.New(rand.NewPCG(seed, 3))
	kinds := []string{"auto", "auto", "cbpf", "hash"}
	// With the other policies a run could not check at its end that all workers serve, as it has one client.
	policies := []string{"least", "least", "round-robin", "random", "hash"}
	return way{kinds[r.IntN(len(kinds))], policies[r.IntN(len(policies))]}
}

func (w way) String() string { return fmt.Sprintf("steering %s, policy %s", w.steering, w.policy) }
