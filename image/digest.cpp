#include "image/digest.h"
