package main

import (
	"fmt"
	"math/rand/v2"
)

// way is how the connections of a run are steered: chosen by the seed, so that
// many runs try all of it.
type way struct{ steering, policy string }

func wayOf(seed uint64) way {
	r := rand.New(rand.NewPCG(seed, 3))
	kinds := []string{"auto", "auto", "cbpf", "hash"}
	// Of the others no run could say at its end that all workers serve: it has one client.
	policies := []string{"least", "least", "round-robin", "random", "hash"}
	return way{kinds[r.IntN(len(kinds))], policies[r.IntN(len(policies))]}
}

func (w way) String() string { return fmt.Sprintf("steering %s, policy %s", w.steering, w.policy) }
