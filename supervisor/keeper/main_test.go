package keeper

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// roleKey makes the test binary play the keeper, a master or a worker instead of running tests.
const roleKey = "KEEPER_TEST_ROLE"

func TestMain(m *testing.M) {
	Main()
	if role := os.Getenv(roleKey); role != "" {
		playRole(role)
		fmt.Println("unknown role", role)
		os.Exit(99)
	}
	goleak.VerifyTestMain(m)
}
