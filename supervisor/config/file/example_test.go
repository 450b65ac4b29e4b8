package file_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
)

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "tine")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tine.yaml")
	text := `apps:
  web:
    command: ./bin/web -v
    listen: ":7000"
    drain_timeout: 30 sec
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	_, err = file.Load(path)
	var fault *config.Problem
	if errors.As(err, &fault) {
		fault.File = filepath.Base(fault.File)
		fmt.Println(fault)
	}
	// Output:
	// tine.yaml:5:20: apps.web.drain_timeout: "30 sec" is not a duration: write 30s, 1m30s or 500ms
	//    5 |     drain_timeout: 30 sec
	//      |                    ^
}

func ExampleConfig_Validate() {
	c := &config.Config{
		Apps: []config.App{
			{Name: "web", Command: []string{"./web"}, Listen: []string{":7000"}},
			{Name: "api", Command: []string{"./api"}, Listen: []string{"0.0.0.0:7000"}, Restart: "alway"},
		},
	}
	fmt.Println(c.Validate())
	// Output:
	// apps.api.restart: "alway" is not known: did you mean always?
	// apps.api.listen: 0.0.0.0:7000 is in use twice: it overlaps with :7000, which app web has already: :7000 takes IPv4 as well; keep that alone, or write tcp6://[::]:7000 for IPv6 only
}

func ExampleNewApp() {
	a := config.NewApp("web", "./bin/web", "-v")
	a.Listen = []string{":7000"}
	a.DrainDelay = 0 // none: in an App literal it would mean the default
	fmt.Println(a.Restart, a.Rollout, a.DrainDelay, a.DrainTimeout)
	// Output: on-failure surge 0s 30s
}

func ExampleParseCacheFlag() {
	v, err := file.ParseCacheFlag("users=sql:sqlite:app.db:SELECT count(*) FROM users@10s")
	fmt.Println(v.Key, v.SQL.DSN, v.SQL.Query, v.Every, err)
	// Output: users app.db SELECT count(*) FROM users 10s <nil>
}
