//go:build !linux && !darwin

package control

import "errors"

// peerOfFD always fails here, so that every peer is refused.
func peerOfFD(int) (peer, error) { return peer{}, errors.ErrUnsupported }
