package main

import (
	"errors"
	"testing"

	"github.com/tinehq/tine/supervisor/keeper"
)

func TestKeeperMode(t *testing.T) {
	for name, c := range map[string]struct {
		mode keeperMode
		s    surroundings
		want bool
	}{
		"Terminal":          {keeperAuto, surroundings{"linux", 99, 0, false}, true},
		"Systemd":           {keeperAuto, surroundings{"linux", 99, 0, true}, false},
		"SystemdOn":         {keeperOn, surroundings{"linux", 99, 0, true}, true},
		"SystemdOff":        {keeperOff, surroundings{"linux", 99, 0, true}, false},
		"BelowKeeper":       {keeperAuto, surroundings{"linux", 99, 98, true}, false},
		"BelowKeeperOn":     {keeperOn, surroundings{"linux", 99, 98, true}, false},
		"UpgradeBelow":      {keeperOn, surroundings{"linux", 99, 50, true}, false},
		"Off":               {keeperOff, surroundings{"linux", 99, 0, false}, false},
		"Container":         {keeperAuto, surroundings{"linux", 1, 0, false}, true},
		"ContainerNotifies": {keeperAuto, surroundings{"linux", 1, 0, true}, true},
		"ContainerOff":      {keeperOff, surroundings{"linux", 1, 0, true}, false},
		"Mac":               {keeperAuto, surroundings{"darwin", 99, 0, false}, false},
	} {
		if got, err := c.mode.wants(c.s); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := keeperOn.wants(surroundings{"darwin", 99, 0, false}); !errors.Is(err, keeper.ErrNoKeeper) {
		t.Errorf("on macOS --keeper=on is answered with %v", err)
	}
	var mode keeperMode
	if err := modeFlag(&mode).Set("yes"); err == nil {
		t.Error("--keeper=yes was taken")
	}
}
