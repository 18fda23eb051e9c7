package disk_test

import (
	"testing"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/castest"
	"github.com/python-wheel-build/axle/cas/disk"
)

func TestConformance(t *testing.T) {
	castest.Run(t, func(t *testing.T) cas.Backend {
		b, err := disk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}
