package serve

import (
	"context"
	"net/http"
	"strings"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control/api"
)

// apply reads the config again, as SIGHUP does, and says what that changes. With Dry nothing is changed. It returns when the change
// is made and the rollouts that it brings are over. An aborted one is an error, and Applied nevertheless.
func (s *Server) apply(ctx context.Context, r api.ApplyRequest) (api.ApplyResult, error) {
	result := api.ApplyResult{Changes: []api.Change{}}
	m, err := s.master.Snapshot(ctx)
	if err != nil {
		return result, err
	}
	next, err := s.loadWithin(ctx)
	if err == nil {
		err = next.Validate()
	}
	if err != nil {
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		refusal := api.Refuse(http.StatusUnprocessableEntity, "%v", err)
		refusal.Title = "the configuration is not valid"
		return result, refusal
	}
	result.Changes = append(result.Changes, difference(m.Config, next)...)
	if r.Dry {
		return result, nil
	}
	result.Applied, err = s.master.Apply(ctx, next)
	return result, err
}

// loadWithin is Load for a caller that does not wait longer than ctx: a disk that hangs is left to itself.
func (s *Server) loadWithin(ctx context.Context) (*config.Config, error) {
	type loaded struct {
		config *config.Config
		err    error
	}
	done := make(chan loaded, 1)
	go func() {
		c, err := s.Load()
		done <- loaded{c, err}
	}()
	select {
	case l := <-done:
		return l.config, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// difference is what a new config changes, with the secrets masked.
func difference(old, next *config.Config) []api.Change {
	var all []api.Change
	for _, c := range file.Diff(old, next) {
		all = append(all, api.Change{Path: c.Path, Old: maskAt(c.Path, c.Old), New: maskAt(c.Path, c.New), Effect: c.Effect})
	}
	return all
}

// maskAt masks the value of one key of the config, as Masked of the config does.
func maskAt(path, value string) string {
	_, name, isEnv := strings.Cut(path, ".env.")
	switch masked := config.MaskURL(value); {
	case masked != value:
		return masked
	case value != "" && (isEnv && config.IsSecret(name, value) || strings.HasSuffix(path, ".dsn") && !strings.Contains(value, "/")):
		return config.Mask
	}
	return value
}
