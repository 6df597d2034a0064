#include "runtime/client.h"
