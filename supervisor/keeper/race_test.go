//go:build race

package keeper

const withRace = true
