//go:build !linux

package keeper

import (
	"context"
	"fmt"
	"os"
)

// Run says that there is no keeper here and returns 1.
func Run(o Options) (code int) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, "keeper: %v\n", ErrNoKeeper)
	}
	return 1
}

// Exec says that there is no keeper here.
func Exec(Options) error { return ErrNoKeeper }

// Succeed says that there is no keeper here.
func Succeed(Options, map[string][]*os.File) error { return ErrNoKeeper }

// Main does nothing here.
func Main() {}

// Exits knows of none here.
func (c *Client) Exits(context.Context) ([]Exit, error) { return nil, nil }

// Room is not known here.
func (c *Client) Room(context.Context) (Room, error) { return Room{}, nil }

// Lead does nothing here: there is no supervisor to tell.
func (c *Client) Lead(context.Context) error { return nil }

// AwaitEnd returns at once here: there is no keeper.
func AwaitEnd(context.Context) error { return ErrNoKeeper }

// StartTime is not known here.
func StartTime(int) (uint64, error) { return 0, ErrNoKeeper }

// isOpen: no file is stored here, so none is inherited.
func isOpen(int) error { return ErrNoKeeper }
