// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: a platform device without hardware carries the engines that need none.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#include "kerf_drv.h"

static struct platform_device *kerf_virtual;

static void kerf_virtual_remove(void *kdev)
{
	kerf_device_remove(kdev);
}

static void kerf_virtual_no_servers(void *unused)
{
	kerf_user_exit();
}

static int kerf_virtual_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct kerf_device *kdev;
	int ret;

	/* It does no DMA: other drivers may share memory with it wherever that lies. */
	ret = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	kdev = kerf_device_create(dev);
	if (IS_ERR(kdev))
		return PTR_ERR(kdev);
	ret = devm_add_action_or_reset(dev, kerf_virtual_remove, kdev);
	if (ret)
		return ret;
	ret = kerf_sim_add(kdev);
	if (ret)
		return ret;
	ret = kerf_device_register(kdev);
	if (ret)
		return ret;
	ret = kerf_user_init(kdev);
	if (ret)
		return ret;
	return devm_add_action_or_reset(dev, kerf_virtual_no_servers, NULL);
}

static struct platform_driver kerf_virtual_driver = {
	.probe = kerf_virtual_probe,
	.driver.name = "kerf-virtual",
};

static int __init kerf_init(void)
{
	int ret;

	kerf_debugfs_init();
	ret = platform_driver_register(&kerf_virtual_driver);
	if (ret)
		goto remove_debugfs;
	kerf_virtual =
		platform_device_register_simple("kerf-virtual", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(kerf_virtual)) {
		ret = PTR_ERR(kerf_virtual);
		goto unregister_driver;
	}
	ret = kerf_npu_init();
	if (ret)
		goto unregister_device;
	return 0;

unregister_device:
	platform_device_unregister(kerf_virtual);
unregister_driver:
	platform_driver_unregister(&kerf_virtual_driver);
remove_debugfs:
	kerf_debugfs_exit();
	return ret;
}
module_init(kerf_init);

static void __exit kerf_exit(void)
{
	kerf_npu_exit();
	platform_device_unregister(kerf_virtual);
	platform_driver_unregister(&kerf_virtual_driver);
	kerf_debugfs_exit();
}
module_exit(kerf_exit);

MODULE_DESCRIPTION("Queues of jobs on accelerators");
MODULE_LICENSE("GPL");
#ifdef KERF_HAVE_IMPORT_NS_WORD
MODULE_IMPORT_NS(DMA_BUF);
#else
MODULE_IMPORT_NS("DMA_BUF");
#endif
