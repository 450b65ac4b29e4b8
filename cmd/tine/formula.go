package main

import (
	"errors"
	"fmt"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/worker/gate/formula"
)

func init() { config.Formula = checkFormula }

// checkFormula is for config.Formula: a formula is compiled as a worker of the gateway does it.
func checkFormula(s policy.Score, own []members.Stat) (warnings []string, err error) {
	f, err := formula.Compile(s.Formula, own...)
	if err != nil {
		if unknown := (*formula.UnknownError)(nil); errors.As(err, &unknown) {
			if near := api.Nearest(unknown.Name, unknown.Known); near != "" {
				return nil, fmt.Errorf("%w; did you mean %s?", err, near)
			}
		}
		return nil, err
	}
	return f.Warnings(s.HighestWins), nil
}
