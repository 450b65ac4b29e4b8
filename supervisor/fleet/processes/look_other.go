//go:build !linux

package processes

import "errors"

func (s Source) looker() (func() (sample, error), error) {
	return nil, errors.New("cannot look at processes: only Linux tells what is needed")
}

// Probe says why a Source could not tell all of the processes of this host.
func Probe() error { return errors.New("cannot look at processes: only Linux tells what is needed") }
