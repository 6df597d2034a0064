#include "image/store.h"
