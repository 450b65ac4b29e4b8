package main

import (
	"os"

	"github.com/tinehq/tine/supervisor"
)

// leftConfig is for a config that cannot be used: a master that follows one that was killed goes on with the config of that
// one. nil: there was none, or it has left nothing that can be read.
func leftConfig() (above, *supervisor.Config) {
	if os.Getenv("LISTEN_FDS") == "" {
		return above{}, nil
	}
	up := lookAbove()
	c, err := supervisor.LeftConfig(up.files)
	if err != nil {
		return up, nil // that of the config tells more
	}
	return up, c
}
