#include "spec/runtime.h"
